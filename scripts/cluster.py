"""`make cluster`: an Airflow as on several machines, with a local Saagie, that stay; `--down` stops them."""

from __future__ import annotations

import argparse
import sys
import time

from scripts import cluster_layout, lasting, locked, stack
from scripts.down import bring_down
from scripts.lasting import State
from scripts.processes import ROOT, StackError
from scripts.show import Show
from scripts.stack import Stack

FOLDER = ROOT / ".cluster"
PARALLELISM = 32
PATIENCE = 180  # seconds until all are there, on two busy cores
MEMBERS = {"SchedulerJob": len(cluster_layout.SCHEDULERS), "TriggererJob": len(cluster_layout.TRIGGERERS)}
READY = " ready."  # the last thing that a Celery worker says while it starts


def wait_for_members(running: Stack, seconds: float = PATIENCE) -> None:
    """Wait until every scheduler, triggerer and worker is there.

    :raises StackError: one ended, or they are not there in time.
    """
    deadline = time.monotonic() + seconds
    while missing := _missing(running):
        running.kept.check()
        if time.monotonic() > deadline:
            raise StackError(f"{missing} is not there after {seconds:.0f} s. {stack.tail(running, missing)}")
        time.sleep(0.3)


def _missing(running: Stack) -> str:
    """Name a program that is not there yet; empty where all are."""
    for worker in cluster_layout.WORKERS:
        log = running.wishes.folder / "logs" / f"{worker}.log"
        if not log.exists() or READY not in log.read_text(encoding="utf-8", errors="replace"):
            return worker
    for kind, wanted in MEMBERS.items():
        params = {"job_type": kind, "job_state": "running", "is_alive": True}
        if len(running.airflow.call("GET", "jobs", params=params)["jobs"]) < wanted:
            return f"airflow-{kind.removesuffix('Job').lower()}-{wanted}"
    return ""


def tell(show: Show, state: State) -> None:
    """Say where everything is."""
    show.title("All are up")
    more = {
        "  its processes": "2 schedulers, 2 Celery workers, 2 triggerers, dag-processor, api-server",
        "PostgreSQL, Redis": f"on 127.0.0.1; the addresses are in {FOLDER.name}/airflow/airflow.cfg",
    }
    lasting.tell(show, FOLDER, state, more)
    show.note("Whatever is killed is started anew after a second. `make cluster-down` stops all.")


def main() -> int:
    """Bring it up or down, return the exit code."""
    parser = argparse.ArgumentParser(prog="make cluster", description=__doc__)
    parser.add_argument("--down", action="store_true", help="stop what is up")
    if parser.parse_args().down:
        bring_down(FOLDER)
        return 0
    show = Show()
    with locked.alone(show, FOLDER) as program:
        state = lasting.bring_up(
            show,
            FOLDER,
            "a local Saagie, PostgreSQL, Redis, and an Airflow of eight processes",
            parallelism=PARALLELISM,
            wishes=cluster_layout.wishes,
            is_there=wait_for_members,
        )
    if program.code == 0:
        tell(show, state)
    return program.code


if __name__ == "__main__":
    sys.exit(main())
