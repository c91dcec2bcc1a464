"""The command line."""

from __future__ import annotations

import ipaddress
import logging
import sqlite3
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from airflow_provider_saagie.emulator import catalogue
from airflow_provider_saagie.emulator.app import create_app
from airflow_provider_saagie.emulator.engine import Limits
from airflow_provider_saagie.emulator.errors import DataFolderError
from airflow_provider_saagie.emulator.introduction import introduction
from airflow_provider_saagie.emulator.login import kept_secret
from airflow_provider_saagie.emulator.server import bind, serve
from airflow_provider_saagie.emulator.settings import Settings
from airflow_provider_saagie.emulator.store.database import check_folder

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")

_PLACE, _DOOR, _JOBS, _LOAD = "Where it is", "Who gets in", "How jobs run", "For load tests"
_SIMULATED_SECONDS = 10.0


@app.command(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Without options it listens on http://127.0.0.1:8000, keeps its data in .saagie-emulator here, makes a"
    " password and shows what to put into the Airflow connection. Ctrl-C ends it and everything that it runs.",
)
def run(
    host: Annotated[str, typer.Option(help="Address to listen on.", rich_help_panel=_PLACE)] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes any free one.", min=0, max=65535, rich_help_panel=_PLACE)
    ] = 8000,
    data: Annotated[
        Path,
        typer.Option(
            help="Folder in which everything is kept.", file_okay=False, readable=False, rich_help_panel=_PLACE
        ),
    ] = Path(".saagie-emulator"),
    platform: Annotated[
        list[int], typer.Option(metavar="NUMBER", help="A platform; may be repeated.", min=1, rich_help_panel=_PLACE)
    ] = [1],  # noqa: B006, typer copies it
    login: Annotated[str, typer.Option(help="Name of the one user.", rich_help_panel=_DOOR)] = "airflow",
    password: Annotated[
        str | None,
        typer.Option(
            envvar="SAAGIE_EMULATOR_PASSWORD",
            help="The user's password. Without it one is made for the data folder, kept there and shown.",
            rich_help_panel=_DOOR,
        ),
    ] = None,
    realm: Annotated[str, typer.Option(help="Realm that clients have to name.", rich_help_panel=_DOOR)] = "local",
    token_ttl: Annotated[
        float, typer.Option(help="Seconds that a token is good for.", min=0, rich_help_panel=_DOOR)
    ] = 3600,
    allow_remote: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Host name under which others may call, beside localhost; may be repeated. Needed for a --host that"
            " is not loopback. The emulator runs what is uploaded: never do this on a network that you don't trust.",
            rich_help_panel=_DOOR,
        ),
    ] = None,
    run_with: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TECHNOLOGY=COMMAND",
            help="Run jobs of a technology with a command of yours, for example 'spark=sh -c \"$SAAGIE_JOB_COMMAND\"';"
            " may be repeated. Python and Bash jobs run without.",
            rich_help_panel=_JOBS,
        ),
    ] = None,
    parallel: Annotated[
        int, typer.Option(help="Processes at once; further instances stay QUEUED.", min=1, rich_help_panel=_JOBS)
    ] = 50,
    time_limit: Annotated[
        float | None, typer.Option(help="Seconds after which a job is ended.", min=0.1, rich_help_panel=_JOBS)
    ] = None,
    log_limit: Annotated[
        int,
        typer.Option(help="Lines of output that are kept of an instance, at most 64 MB.", min=1, rich_help_panel=_JOBS),
    ] = 100_000,
    upload_limit: Annotated[
        int, typer.Option(help="Largest artifact, in megabytes.", min=1, rich_help_panel=_JOBS)
    ] = 1024,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Run no process; instances end by the clock.", rich_help_panel=_LOAD)
    ] = False,
    simulate_seconds: Annotated[
        float | None,
        typer.Option(
            help="How long a simulated instance lasts.",
            min=0.1,
            show_default=f"{_SIMULATED_SECONDS:g}",
            rich_help_panel=_LOAD,
        ),
    ] = None,
) -> None:
    """Run a local Saagie: a stand-in for the platform that runs Python and Bash jobs on this machine."""
    if not _is_loopback(host) and not allow_remote:
        _fail(f"--host {host} is reachable by others and the emulator runs what is uploaded: see --allow-remote")
    if simulate_seconds is not None and not simulate:
        _fail("--simulate-seconds means nothing without --simulate")
    runners = _runners(run_with or [])
    try:
        bound = bind(host, port)
    except OSError as error:
        _fail(f"Can't listen on {host}, port {port} ({error.strerror}): choose another --port, or 0 for any free one")
    port = bound.getsockname()[1]
    try:
        check_folder(data)
        settings = Settings(
            data=data,
            password=password or kept_secret(data / "password"),
            login=login,
            realm=realm,
            platforms=tuple(dict.fromkeys(platform)),
            token_ttl=token_ttl,
            port=port,
            allow_remote=tuple(name.lower() for name in allow_remote or ()),
            simulate_seconds=(simulate_seconds or _SIMULATED_SECONDS) if simulate else None,
            upload_limit=upload_limit << 20,
            limits=Limits(parallel=parallel, seconds=time_limit, log_lines=log_limit),
            runners=runners,
        )
        starlette = create_app(settings)
    except DataFolderError as error:
        _fail(str(error))
    except (OSError, sqlite3.Error) as error:
        _fail(f"The data folder {data} can't be used: {getattr(error, 'strerror', None) or error}")
    url = f"http://{'[' + host + ']' if ':' in host else host}:{port}"
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    # On stderr, since stdout holds the ready line only.
    print(introduction(url, settings, shows_password=not password), file=sys.stderr, flush=True)  # noqa: T201
    serve(starlette, bound, lambda: print(f"Saagie emulator listening on {url}", flush=True))  # noqa: T201, the ready line


def main() -> None:
    """Run the command line."""
    app()


def _runners(given: list[str]) -> dict[str, str]:
    known = {one.technology_id for one in catalogue.technologies().values() if one.kind != "AppTechnology"}
    found = {}
    for one in given:
        technology, _, command = (part.strip() for part in one.partition("="))
        if technology not in known or not command:
            _fail(f"--run-with {one!r} has to be TECHNOLOGY=COMMAND; the technologies are {', '.join(sorted(known))}")
        found[technology] = command
    return found


def _fail(message: str) -> NoReturn:
    print(f"saagie-emulator: {message}", file=sys.stderr)  # noqa: T201, it talks to a terminal
    raise typer.Exit(2)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
