"""A stack that stays: what the next start of it has to know, and whether it is up."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests

from scripts import processes, stack
from scripts.airflow_api import AirflowApi
from scripts.airflow_settings import LOGIN, new_password

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.stack import Stack


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
    path = folder / "state.json"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(dataclasses.asdict(state), file)


def is_up(folder: Path, state: State) -> bool:
    """Return whether both answer already, and are ours."""
    if not (state.airflow_url and state.saagie_url and processes.keepers(folder)):
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


def leave_running(running: Stack, before: State) -> State:
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
