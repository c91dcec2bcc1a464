"""Play calls with saagieapi 2.13.1 in an environment of its own; task and answers are JSON."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import played_calls  # type: ignore[import-not-found]  # it is in this folder
from saagieapi import SaagieApi  # type: ignore[import-not-found]  # installed in its own environment only
from saagieapi.jobs import Jobs  # type: ignore[import-not-found]
from saagieapi.projects import Projects  # type: ignore[import-not-found]

logging.disable()
task = json.load(sys.stdin)


def log_in(password: str) -> Any:
    # Users copy the trailing slash; the client then joins some paths with two.
    return SaagieApi(f"{task['url']}/", str(task["platform"]), task["login"], password, task["realm"])


steps = [played_calls.Step(**step) for step in task["steps"]]
answers = played_calls.play(log_in(task["names"]["password"]), steps, task["names"], log_in)
methods = {"jobs": dir(Jobs), "projects": dir(Projects)}
sys.stdout.write("\n")  # the client writes to stdout too, and may not have ended its line
json.dump({"answers": answers, "methods": methods}, sys.stdout)
