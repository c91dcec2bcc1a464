"""A stack that stays: how it is brought up, what the next start of it has to know, and what people are told of it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests

from scripts import processes, stack
from scripts.airflow_api import AirflowApi
from scripts.airflow_settings import LOGIN, new_password
from scripts.processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from scripts.show import Show
    from scripts.stack import Stack, Wishes

DAGS = ROOT / "example_dags"
DAG_INTERVAL = 10  # seconds
GRACE = 20  # seconds; people's runs lie in this Airflow, so it gets the time to stop well


@dataclass(frozen=True)
class State:
    """What the next start has to know, kept in the folder's `state.json`.

    :param airflow_url: address of Airflow, empty before the first start.
    :param saagie_url: address of the local Saagie, empty before the first start.
    :param airflow_password: of the user `admin`.
    :param saagie_password: of the local Saagie's user.
    """

    airflow_url: str = ""
    saagie_url: str = ""
    airflow_password: str = dataclasses.field(default_factory=new_password, repr=False)
    saagie_password: str = dataclasses.field(default_factory=new_password, repr=False)

    @property
    def airflow_port(self) -> int | None:
        """The port that Airflow had, None before the first start."""
        return _port(self.airflow_url)

    @property
    def saagie_port(self) -> int | None:
        """The port that the local Saagie had, None before the first start."""
        return _port(self.saagie_url)


def load(folder: Path) -> State:
    """Return what was kept, or a new state with new passwords."""
    path = folder / "state.json"
    return State(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else State()


def save(folder: Path, state: State) -> None:
    """Keep the state, readable by its owner only."""
    with processes.opened_for_owner(folder / "state.json") as file:
        json.dump(dataclasses.asdict(state), file)


def is_up(folder: Path, state: State) -> bool:
    """Return whether both answer already, and are ours."""
    if not (state.airflow_url and state.saagie_url and processes.keepers(folder)):
        return False
    airflow, saagie = AirflowApi(state.airflow_url, LOGIN, state.airflow_password), requests.Session()
    saagie.trust_env = False  # no proxy between this machine and itself
    try:
        airflow.log_in()
        saagie.get(state.saagie_url, timeout=5)
        return not airflow.unhealthy()
    except requests.RequestException:
        return False
    finally:
        airflow.close()
        saagie.close()


def bring_up(
    show: Show,
    folder: Path,
    what: str,
    *,
    parallelism: int,
    wishes: Callable[..., Wishes] = stack.Wishes,
    is_there: Callable[[Stack], None] = lambda _: None,
) -> State:
    """Start a stack that stays, wait until it is healthy, connect its two sides; or find that it is up.

    :param show: where it is told.
    :param folder: holds everything that it writes.
    :param what: is started.
    :param parallelism: how many tasks Airflow runs at once.
    :param wishes: makes the stack's wishes.
    :param is_there: waits for what else has to be there before it counts as up.
    :return: what is kept of it.
    """
    before = load(folder)
    if is_up(folder, before):
        show.title("Already up")
        return before
    processes.sweep(folder, grace=GRACE)
    show.title(f"Starting {what}")
    wished = wishes(
        folder,
        DAGS,
        airflow_password=before.airflow_password,
        saagie_password=before.saagie_password,
        airflow_port=before.airflow_port,
        saagie_port=before.saagie_port,
        parallelism=parallelism,
        dag_interval=DAG_INTERVAL,
        grace=GRACE,
        detached=True,
    )
    with show.waiting("starting"):
        running = stack.start(wished, saagie_ready=lambda early: show.step("Saagie (local)", early.saagie_url))
        try:
            is_there(running)
        except BaseException:
            stack.stop_undisturbed(running)
            raise
    show.step("Airflow", running.settings.url)
    return _leave_running(running, before)


def tell(show: Show, folder: Path, state: State, more: Mapping[str, str] | None = None) -> None:
    """Say where everything is.

    :param more: what else there is to say of this Airflow.
    """
    show.pairs(
        {
            "Airflow": state.airflow_url,
            "  its login": f"{LOGIN} / {state.airflow_password}",
            **(more or {}),
            "Saagie (local)": state.saagie_url,
            "  its user": f"{stack.SAAGIE_LOGIN} / {state.saagie_password}, realm {stack.REALM}",
            "Connection": f"{stack.CONNECTION} (Admin > Connections)",
            "DAGs": f"{DAGS.name}/, read anew every {DAG_INTERVAL} s",
            "Logs": f"{folder.name}/logs/",
            "Command line": f"AIRFLOW_HOME=$PWD/{folder.name}/airflow .venv/bin/airflow dags list",
        }
    )


def _leave_running(running: Stack, before: State) -> State:
    """Connect Airflow with the local Saagie, keep where both are, and let go of them.

    :param running: what was just started; it is stopped where this fails.
    :param before: what was kept.
    :return: what is kept now.
    """
    try:
        _connect(running, before)
        state = dataclasses.replace(before, airflow_url=running.settings.url, saagie_url=running.saagie_url)
        save(running.wishes.folder, state)
    except BaseException:
        stack.stop_undisturbed(running)
        raise
    running.airflow.close()
    return state


def _connect(running: Stack, before: State) -> None:
    """Make the connection, or move it to the local Saagie's new port; one that a user has pointed elsewhere is left."""
    found = running.airflow.connection(stack.CONNECTION)
    if found is None or found["host"] == before.saagie_url:
        running.airflow.put_connection(running.connection)


def _port(url: str) -> int | None:
    return int(url.rsplit(":", 1)[1]) if url else None
