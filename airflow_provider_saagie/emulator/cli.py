"""The command line."""

from __future__ import annotations

import ipaddress
import json
import logging
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from airflow_provider_saagie.emulator.app import create_app
from airflow_provider_saagie.emulator.engine import Limits
from airflow_provider_saagie.emulator.errors import DataFolderError
from airflow_provider_saagie.emulator.login import kept_secret
from airflow_provider_saagie.emulator.server import bind, serve
from airflow_provider_saagie.emulator.settings import Settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def run(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.", min=0, max=65535)] = 8000,
    data: Annotated[Path, typer.Option(help="Folder in which everything is kept.", file_okay=False)] = Path(
        ".saagie-emulator"
    ),
    login: Annotated[str, typer.Option(help="Name of the one user.")] = "airflow",
    password: Annotated[
        str | None,
        typer.Option(
            envvar="SAAGIE_EMULATOR_PASSWORD",
            help="The user's password. Without it one is made for the data folder, kept there and shown.",
        ),
    ] = None,
    realm: Annotated[str, typer.Option(help="Realm that clients have to name.")] = "local",
    platform: Annotated[list[int], typer.Option(metavar="NUMBER", help="A platform; may be repeated.", min=1)] = [1],  # noqa: B006, typer copies it
    token_ttl: Annotated[float, typer.Option(help="Seconds that a token is good for.", min=0)] = 3600,
    simulate: Annotated[bool, typer.Option("--simulate", help="Run no process; instances end by the clock.")] = False,
    simulate_seconds: Annotated[float, typer.Option(help="How long a simulated instance lasts.", min=0.1)] = 10,
    parallel: Annotated[int, typer.Option(help="Processes at once; further instances stay QUEUED.", min=1)] = 50,
    time_limit: Annotated[float | None, typer.Option(help="Seconds after which a job is ended.", min=0.1)] = None,
    log_limit: Annotated[int, typer.Option(help="Lines of output that are kept of an instance.", min=1)] = 100_000,
    upload_limit: Annotated[int, typer.Option(help="Largest artifact, in megabytes.", min=1)] = 1024,
    allow_remote: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Host name under which others may call, beside localhost; may be repeated. Needed for a --host that"
            " is not loopback. The emulator runs what is uploaded: never do this on a network that you don't trust.",
        ),
    ] = None,
) -> None:
    """Run a local Saagie: a stand-in for the platform that runs Python and Bash jobs on this machine."""
    if not _is_loopback(host) and not allow_remote:
        _fail(f"--host {host} is reachable by others and the emulator runs what is uploaded: see --allow-remote")
    try:
        bound = bind(host, port)
    except OSError as error:
        _fail(f"Can't listen on {host}, port {port} ({error.strerror}): choose another --port, or 0 for any free one")
    port = bound.getsockname()[1]
    try:
        settings = Settings(
            data=data,
            password=password or kept_secret(data / "password"),
            login=login,
            realm=realm,
            platforms=tuple(dict.fromkeys(platform)),
            token_ttl=token_ttl,
            port=port,
            allow_remote=tuple(name.lower() for name in allow_remote or ()),
            simulate_seconds=simulate_seconds if simulate else None,
            upload_limit=upload_limit << 20,
            limits=Limits(parallel=parallel, seconds=time_limit, log_lines=log_limit),
        )
        starlette = create_app(settings)
    except DataFolderError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"The data folder {data} can't be used: {error.strerror}")
    url = f"http://{'[' + host + ']' if ':' in host else host}:{port}"
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    _introduce(url, settings, made_password=None if password else settings.password)
    serve(starlette, bound, lambda: print(f"Saagie emulator listening on {url}", flush=True))  # noqa: T201, the ready line


def main() -> None:
    """Run the command line."""
    app()


def _introduce(url: str, settings: Settings, made_password: str | None) -> None:
    """Say, on stderr, how to reach it: stdout holds the ready line only."""
    lines = [
        "A local Saagie. It runs what is uploaded: keep it to yourself.",
        f"  pages      {url}/projects/platform/{settings.platforms[0]}",
        f"  login      {settings.login}",
        f"  password   {made_password or '(as given)'}",
        f"  realm      {settings.realm}",
        f"  platforms  {', '.join(map(str, settings.platforms))}",
        f"  data       {settings.data.resolve()}",
        f"  Airflow    a connection of type saagie with host {url}, this login and password, and the extra",
        f"             {json.dumps({'realm': settings.realm, 'platform_id': settings.platforms[0]})}",
    ]
    if settings.simulate_seconds is not None:
        lines.append(f"  simulating: nothing is run, instances last {settings.simulate_seconds:g} s")
    print("\n".join(lines), file=sys.stderr, flush=True)  # noqa: T201, it talks to a terminal


def _fail(message: str) -> NoReturn:
    print(f"saagie-emulator: {message}", file=sys.stderr)  # noqa: T201, it talks to a terminal
    raise typer.Exit(2)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
