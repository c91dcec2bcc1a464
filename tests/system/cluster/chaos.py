"""`make chaos`: kills tasks, workers, triggerers and the local Saagie of a cluster, and balances the books.

`make chaos ARGS="--kills 500 --seed 1"`. The report is `.chaos/chaos.md` and `.chaos/chaos.json`; the exit code is 1
where an account doesn't balance.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from scripts import airflow_settings, processes
from scripts.processes import ROOT, StackError
from tests.system.cluster import plan, report
from tests.system.cluster.scene import JOB_SECONDS, Scene, scene
from tests.system.cluster.secret_hunt import hunt
from tests.system.cluster.striker import LONGEST_CASE, Striker

FOLDER = ROOT / ".chaos"
EDIT_EVERY = 45.0  # seconds


def say(text: str) -> None:
    """Write a line to the terminal."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


@contextmanager
def retries_edited(found: Scene) -> Iterator[None]:
    """Edit the tasks' number of retries again and again, for the length of a block."""
    over = threading.Event()
    env = airflow_settings.environment(found.stack.settings, found.folder)

    def edit() -> None:
        for number in itertools.cycle((6, 9, 7, 10, 8)):
            if over.wait(EDIT_EVERY):
                return
            part = found.stack.wishes.dags / "retries.part"
            part.write_text(str(number))
            part.rename(part.with_suffix(".txt"))  # whole at any time: tasks that start read it
            subprocess.run(
                [sys.executable, "-m", "airflow", "dags", "reserialize"], env=env, check=False, capture_output=True
            )

    thread = threading.Thread(target=edit, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def main() -> int:
    """Parse the command line, run, return the exit code."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="how many strikes")
    parser.add_argument("--seed", type=int, default=1, help="what makes the choices repeatable")
    parser.add_argument("--at-once", type=int, default=12, help="how many runs go on at a time")
    parser.add_argument(
        "--scenario", nargs="+", choices=plan.SCENARIOS, default=["exclusive"], help="several are taken by turns"
    )
    parser.add_argument("--skew", type=int, default=0, help="seconds by which the second worker's clock is ahead")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="emptied first; gets the report and all logs")
    given = parser.parse_args()
    cases = plan.by_turns(given.scenario, given.seed)
    job_seconds = plan.FROZEN_JOB_SECONDS if plan.LONGER & set(given.scenario) else JOB_SECONDS
    secrets: list[str] = []
    began = time.monotonic()
    try:
        with (
            processes.signals_raise(),
            processes.lock(given.folder / "lock"),
            scene(
                given.folder, skew=given.skew, job_seconds=job_seconds, with_peers="peers" in given.scenario
            ) as found,
            retries_edited(found) if "clears" in given.scenario else nullcontext(),
        ):
            say(f"The cluster is there after {time.monotonic() - began:.0f} s")
            striker = Striker(found, given.at_once, say, longest=LONGEST_CASE + given.skew)
            try:
                striker.run(cases, given.kills)
            finally:
                took = (time.monotonic() - began) / 60
                told = (
                    f'`make chaos ARGS="--scenario {" ".join(given.scenario)} --kills {given.kills} --seed {given.seed}'
                    f' --at-once {given.at_once}{f" --skew {given.skew}" if given.skew else ""}"`, {took:.0f} minutes'
                )
                sys.stdout.write(report.write(striker.records, given.folder, told))
            secrets = hunt(found)
            say(f"Secrets found: {secrets or 'none'}")
    except KeyboardInterrupt:
        say("Interrupted; everything was stopped.")
        return 130
    except StackError as error:
        say(str(error))
        return 1
    return 1 if secrets or any(record.findings for record in striker.records) else 0


if __name__ == "__main__":
    sys.exit(main())
