"""`make up`: a local Saagie and Airflow that stay, to click around in."""

from __future__ import annotations

import sys

from scripts import lasting, processes, stack
from scripts.airflow_settings import LOGIN
from scripts.lasting import State
from scripts.processes import ROOT, StackError
from scripts.show import Show

FOLDER = ROOT / ".up"
DAGS = ROOT / "example_dags"
DAG_INTERVAL = 10  # seconds
GRACE = 20  # seconds; people's runs lie in this Airflow, so it gets the time to stop well


def bring_up(show: Show) -> State:
    """Start both, wait until they are healthy, connect them."""
    before = lasting.load(FOLDER)
    if lasting.is_up(FOLDER, before):
        show.title("Already up")
        return before
    processes.sweep(FOLDER, grace=GRACE)
    show.title("Starting a local Saagie and Airflow")
    wishes = stack.Wishes(
        FOLDER,
        DAGS,
        airflow_password=before.airflow_password,
        saagie_password=before.saagie_password,
        airflow_port=before.airflow_port,
        saagie_port=before.saagie_port,
        parallelism=4,
        dag_interval=DAG_INTERVAL,
        grace=GRACE,
        detached=True,
    )
    with show.waiting("starting"):
        running = stack.start(wishes, saagie_ready=lambda early: show.step("Saagie (local)", early.saagie_url))
    show.step("Airflow", running.settings.url)
    return lasting.leave_running(running, before)


def main() -> int:
    """Bring both up, say where they are, return the exit code."""
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
    show.title("Both are up")
    show.pairs(
        {
            "Airflow": state.airflow_url,
            "  its login": f"{LOGIN} / {state.airflow_password}",
            "Saagie (local)": state.saagie_url,
            "  its user": f"{stack.SAAGIE_LOGIN} / {state.saagie_password}, realm {stack.REALM}",
            "Connection": f"{stack.CONNECTION} (Admin > Connections)",
            "DAGs": f"{DAGS.name}/, read anew every {DAG_INTERVAL} s",
            "Logs": f"{FOLDER.name}/logs/",
            "Command line": f"AIRFLOW_HOME=$PWD/{FOLDER.name}/airflow .venv/bin/airflow dags list",
        }
    )
    show.note("`make down` stops them.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
