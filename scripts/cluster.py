"""`make cluster`: an Airflow as on several machines, with a local Saagie, that stay; `--down` stops them."""

from __future__ import annotations

import argparse
import sys
import time

from scripts import cluster_layout, lasting, processes, stack
from scripts.airflow_settings import LOGIN
from scripts.down import bring_down
from scripts.lasting import State
from scripts.processes import ROOT, StackError
from scripts.show import Show
from scripts.stack import Stack
from scripts.up import DAG_INTERVAL, DAGS

FOLDER = ROOT / ".cluster"
GRACE = 20  # seconds; people's runs lie in this Airflow, so it gets the time to stop well
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


def bring_up(show: Show) -> State:
    """Start everything, wait until it is there, connect Airflow with the local Saagie."""
    before = lasting.load(FOLDER)
    if lasting.is_up(FOLDER, before):
        show.title("Already up")
        return before
    processes.sweep(FOLDER, grace=GRACE)
    show.title("Starting a local Saagie, PostgreSQL, Redis, and an Airflow of eight processes")
    wishes = cluster_layout.wishes(
        FOLDER,
        DAGS,
        airflow_password=before.airflow_password,
        saagie_password=before.saagie_password,
        airflow_port=before.airflow_port,
        saagie_port=before.saagie_port,
        parallelism=32,
        dag_interval=DAG_INTERVAL,
        grace=GRACE,
        detached=True,
    )
    with show.waiting("starting"):
        running = stack.start(wishes, saagie_ready=lambda early: show.step("Saagie (local)", early.saagie_url))
        try:
            wait_for_members(running)
        except BaseException:
            stack.stop_undisturbed(running)
            raise
    show.step("Airflow", running.settings.url)
    return lasting.leave_running(running, before)


def tell(show: Show, state: State) -> None:
    """Say where everything is."""
    show.title("All are up")
    show.pairs(
        {
            "Airflow": state.airflow_url,
            "  its login": f"{LOGIN} / {state.airflow_password}",
            "  its processes": "2 schedulers, 2 Celery workers, 2 triggerers, dag-processor, api-server",
            "PostgreSQL, Redis": f"on 127.0.0.1; the addresses are in {FOLDER.name}/airflow/airflow.cfg",
            "Saagie (local)": state.saagie_url,
            "  its user": f"{stack.SAAGIE_LOGIN} / {state.saagie_password}, realm {stack.REALM}",
            "Connection": f"{stack.CONNECTION} (Admin > Connections)",
            "DAGs": f"{DAGS.name}/, read anew every {DAG_INTERVAL} s",
            "Logs": f"{FOLDER.name}/logs/",
            "Command line": f"AIRFLOW_HOME=$PWD/{FOLDER.name}/airflow .venv/bin/airflow dags list",
        }
    )
    show.note("Whatever is killed is started anew after a second. `make cluster-down` stops all.")


def main() -> int:
    """Bring it up or down, return the exit code."""
    parser = argparse.ArgumentParser(prog="make cluster", description=__doc__)
    parser.add_argument("--down", action="store_true", help="stop what is up")
    if parser.parse_args().down:
        bring_down(FOLDER, GRACE)
        return 0
    show = Show()
    with processes.signals_raise():
        try:
            with processes.lock(FOLDER / "lock"):
                state = bring_up(show)
        except KeyboardInterrupt:
            show.error("Interrupted; everything was stopped.")
            return 130
        except StackError as error:
            show.error(str(error))
            return 1
    tell(show, state)
    return 0


if __name__ == "__main__":
    sys.exit(main())
