"""PostgreSQL and Redis as ordinary processes in a folder: what an Airflow on several machines stands on."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from scripts.airflow_settings import free_port
from scripts.processes import ROOT, Program, StackError, clean_environment, opened_for_owner

DEBIANS_POSTGRESQL = Path("/usr/lib/postgresql")
USER = "airflow"  # of the database, which has the same name


@dataclass(frozen=True)
class Backends:
    """A database and a queue.

    :param folder: holds both.
    :param database_port: of PostgreSQL, on 127.0.0.1.
    :param queue_port: of Redis, on 127.0.0.1.
    :param secret: the password of both.
    """

    folder: Path
    database_port: int
    queue_port: int
    secret: str = field(repr=False)

    @property
    def database_url(self) -> str:
        """Address of Airflow's database, with the password."""
        return f"postgresql+psycopg2://{USER}:{self.secret}@127.0.0.1:{self.database_port}/{USER}"

    @property
    def queue_url(self) -> str:
        """Address of the queue, with the password."""
        return f"redis://:{self.secret}@127.0.0.1:{self.queue_port}/0"


def prepare(folder: Path) -> Backends:
    """Choose ports, and make the password where there is none yet: the database keeps it.

    :param folder: made where it is missing.
    :return: what `programs` starts.
    :raises StackError: where PostgreSQL or Redis is not installed.
    """
    for command in ("initdb", "postgres", "redis-server"):
        _executable(command)
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "secret"
    if not kept.exists():
        with opened_for_owner(kept) as file:
            file.write(secrets.token_hex(16))
    return Backends(folder, free_port(), free_port(), kept.read_text(encoding="utf-8"))


def programs(backends: Backends, marked: Path) -> list[Program]:
    """Return the two programs, and what has to run before them the first time.

    :param backends: what `prepare` gave.
    :param marked: the folder of the stack that they belong to.
    """
    env = clean_environment(marked)
    data = backends.folder / "postgres"
    queue = backends.folder / "redis"
    queue.mkdir(exist_ok=True)
    settings = queue / "redis.conf"
    with opened_for_owner(settings) as file:
        file.write(f'bind 127.0.0.1\nport {backends.queue_port}\nrequirepass {backends.secret}\ndir "{queue}"\n')
        # What waits in the queue outlives a restart.
        file.write('appendonly yes\nappendfsync everysec\nsave ""\n')
    server = [
        *_as_somebody(),
        _executable("postgres"),
        *("-D", str(data), "-p", str(backends.database_port)),
        # Without a socket file: its path could be too long for one.
        *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200"),
    ]
    made = []
    if not (data / "PG_VERSION").exists():
        shutil.rmtree(data, ignore_errors=True)  # what an initdb that was interrupted has left
        data.mkdir(mode=0o700)
        _give_away(data)
        initdb = [
            *_as_somebody(),
            _executable("initdb"),
            *("-D", str(data), "-U", USER, "--auth=scram-sha-256", f"--pwfile={backends.folder / 'secret'}"),
            *("--encoding=UTF8", "--locale=C"),
        ]
        made = [Program("postgres-init", initdb, env, once=True)]
    return [
        *made,
        # SIGINT: end now, without waiting for those who are connected.
        Program("postgres", server, env, stop_signal="SIGINT", restarts=True),
        Program("redis", [_executable("redis-server"), str(settings)], env, restarts=True),
    ]


def database_program(backends: Backends, env: dict[str, str]) -> Program:
    """Return what waits for the database, makes Airflow's tables and ends.

    :param backends: what `prepare` gave.
    :param env: the environment of the Airflow.
    """
    script = str(ROOT / "scripts" / "cluster_database.py")
    command = [sys.executable, script, str(backends.database_port), str(backends.folder / "secret")]
    return Program("airflow-database", command, env, once=True)


def _executable(name: str) -> str:
    """Find a program on the path, or among Debian's versions of PostgreSQL, the newest first.

    :raises StackError: where it is missing.
    """
    versions = sorted(DEBIANS_POSTGRESQL.glob("*"), key=lambda one: float(one.name), reverse=True)
    for place in [None, *(str(one / "bin") for one in versions)]:
        if found := shutil.which(name, path=place):
            return found
    raise StackError(
        f"{name} is not installed: `bash scripts/cluster_env.sh` as root installs it from Debian's packages."
    )


def _as_somebody() -> list[str]:
    """PostgreSQL refuses to run as root: then it runs as its own user, who may go through folders as root may."""
    if os.geteuid() != 0:
        return []
    account = _account()
    return [
        "setpriv",
        *(f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--pdeathsig=INT"),
        *("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"),
        "--",
    ]


def _give_away(folder: Path) -> None:
    if os.geteuid() == 0:
        account = _account()
        os.chown(folder, account.pw_uid, account.pw_gid)


def _account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StackError("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody.")
