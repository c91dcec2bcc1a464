"""`make up`: a local Saagie and Airflow that stay, to click around in."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests

from scripts import processes, stack
from scripts.airflow_api import AirflowApi
from scripts.airflow_settings import LOGIN, new_password
from scripts.processes import ROOT, StackError
from scripts.show import Show

if TYPE_CHECKING:
    from scripts.stack import Stack

FOLDER = ROOT / ".up"
DAGS = ROOT / "example_dags"
DAG_INTERVAL = 10  # seconds
GRACE = 20  # seconds; people's runs lie in this Airflow, so it gets the time to stop well


@dataclass(frozen=True)
class State:
    """What the next `make up` has to know, kept in `.up/state.json`.

    :param airflow_url: address of Airflow, empty before the first start.
    :param saagie_url: address of the local Saagie, empty before the first start.
    :param airflow_password: of the user `admin`.
    :param saagie_password: of the local Saagie's user.
    """

    airflow_url: str = ""
    saagie_url: str = ""
    airflow_password: str = dataclasses.field(default_factory=new_password, repr=False)
    saagie_password: str = dataclasses.field(default_factory=new_password, repr=False)


def load() -> State:
    """Return what was kept, or a new state with new passwords."""
    path = FOLDER / "state.json"
    return State(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else State()


def save(state: State) -> None:
    """Keep the state, readable by its owner only."""
    path = FOLDER / "state.json"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(dataclasses.asdict(state), file)


def port(url: str) -> int | None:
    """Return the port that an address ends with, None where there is no address."""
    return int(url.rsplit(":", 1)[1]) if url else None


def is_up(state: State) -> bool:
    """Return whether both answer already, and are ours."""
    if not (state.airflow_url and state.saagie_url and processes.keepers(FOLDER)):
        return False
    airflow = AirflowApi(state.airflow_url, LOGIN, state.airflow_password)
    try:
        airflow.log_in()
        requests.get(state.saagie_url, timeout=5)
        return not airflow.unhealthy()
    except requests.RequestException:
        return False
    finally:
        airflow.close()


def connect(running: Stack, before: State) -> None:
    """Make the connection, or move it to the local Saagie's new port; one that a user has pointed elsewhere is left."""
    found = running.airflow.connection(stack.CONNECTION)
    if found is None or found["host"] == before.saagie_url:
        running.airflow.put_connection(running.connection)


def bring_up(show: Show) -> State:
    """Start both, wait until they are healthy, connect them."""
    before = load()
    if is_up(before):
        show.title("Already up")
        return before
    processes.sweep(FOLDER, grace=GRACE)
    show.title("Starting a local Saagie and Airflow")
    wishes = stack.Wishes(
        FOLDER,
        DAGS,
        airflow_password=before.airflow_password,
        saagie_password=before.saagie_password,
        airflow_port=port(before.airflow_url),
        saagie_port=port(before.saagie_url),
        parallelism=4,
        dag_interval=DAG_INTERVAL,
        grace=GRACE,
        detached=True,
    )
    with show.waiting("starting"):
        running = stack.start(wishes, saagie_ready=lambda early: show.step("Saagie (local)", early.saagie_url))
    try:
        show.step("Airflow", running.settings.url)
        connect(running, before)
        state = dataclasses.replace(before, airflow_url=running.settings.url, saagie_url=running.saagie_url)
        save(state)
    except BaseException:
        stack.stop_undisturbed(running)
        raise
    running.airflow.close()
    return state


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
