"""Plays calls with saagieapi 2.13.1, in an environment of its own: its task comes as JSON, the answers go as JSON."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import played_calls  # type: ignore[import-not-found]  # it stands beside this file
from saagieapi import SaagieApi  # type: ignore[import-not-found]  # installed in its own environment only


def main() -> None:
    """Play what the task names."""
    logging.disable()
    task = json.load(sys.stdin)

    def log_in(password: str) -> Any:
        return SaagieApi(task["url"], str(task["platform"]), task["login"], password, task["realm"])

    jobs = log_in(task["password"]).jobs
    steps = [played_calls.Step(**step) for step in task["steps"]]
    answers = played_calls.play(jobs, steps, task["names"], task["url"], log_in)
    sys.stdout.write("\n")  # the client writes to stdout too, and may not have ended its line
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
