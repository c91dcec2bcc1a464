"""What a start tells: how to reach the emulator, and what to put into the Airflow connection."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.settings import Settings


def introduction(url: str, settings: Settings, shows_password: bool) -> str:
    """Write it.

    :param url: where the emulator listens.
    :param settings: how it is set up.
    :param shows_password: write the password out; one that somebody gave is not shown.
    :return: the text, of several lines.
    """
    password = settings.password if shows_password else "(as given)"
    extra = {"realm": settings.realm, "platform_id": settings.platforms[0]}
    connection = {"conn_type": "saagie", "host": url, "login": settings.login, "password": password, "extra": extra}
    lines = [
        "A local Saagie. It runs what is uploaded, as you: keep it to yourself.",
        f"  host       {url}",
        f"  pages      {url}/projects/platform/{settings.platforms[0]}",
        f"  login      {settings.login}",
        f"  password   {password}",
        f"  realm      {settings.realm}",
        f"  platforms  {', '.join(map(str, settings.platforms))}",
        f"  data       {settings.data.resolve()}",
        *(f"  runs       {technology} jobs with: {command}" for technology, command in settings.runners.items()),
        "In Airflow, a connection of type saagie with this host, login and password, and the extra",
        f"  {json.dumps(extra)}",
        "or, in the shell that starts Airflow:",
        f"  export AIRFLOW_CONN_SAAGIE_DEFAULT={shlex.quote(json.dumps(connection))}",
    ]
    if settings.simulate_seconds is not None:
        lines.append(f"Simulating: nothing is run, instances last {settings.simulate_seconds:g} s.")
    return "\n".join(lines)
