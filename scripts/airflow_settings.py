"""How our local Airflow is set up: its configuration file, its password, the programs that make it."""

from __future__ import annotations

import base64
import configparser
import json
import os
import random
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scripts.processes import ROOT, Program, clean_environment, opened_for_owner

LOGIN = "admin"
# Below the ports that Linux and macOS hand out for outgoing connections, so that none of those takes ours.
PORTS = range(20_000, 32_000)


@dataclass(frozen=True)
class AirflowSettings:
    """What one local Airflow needs to know.

    :param home: AIRFLOW_HOME; configuration, database and logs lie in it.
    :param port: of its API server and UI, on 127.0.0.1.
    :param dags: the folder with the DAG files.
    :param password: of the user `admin`.
    :param parallelism: how many tasks run at once; with 1, LocalExecutor makes a task wait five seconds now and then.
    :param dag_interval: seconds after which DAG files are read anew; each time costs about a second of a core.
    :param more_options: what else is to differ from Airflow's defaults, by section.
    """

    home: Path
    port: int
    dags: Path
    password: str
    parallelism: int = 2
    dag_interval: int = 300
    more_options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Address of the UI and of the REST API."""
        return f"http://127.0.0.1:{self.port}"


def free_port(wanted: int | None = None) -> int:
    """Return a port that nobody listens on.

    :param wanted: returned when it is free.
    :return: a port of 127.0.0.1; somebody may still be quicker, so the one who uses it has to look.
    """
    candidates = ([wanted] if wanted else []) + random.SystemRandom().sample(PORTS, 50)
    for port in candidates:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port found")


def new_password() -> str:
    """Return a password that can be typed."""
    return secrets.token_hex(5)


def options(settings: AirflowSettings) -> dict[str, dict[str, str]]:
    """Return what differs from Airflow's defaults, by section."""
    home = settings.home
    ours = {
        "core": {
            "dags_folder": str(settings.dags),
            "executor": "LocalExecutor",
            "load_examples": "False",
            "parallelism": str(settings.parallelism),
            "dags_are_paused_at_creation": "False",
            "test_connection": "Enabled",  # the Test button of the connection form
            "execution_api_server_url": f"{settings.url}/execution/",
            "simple_auth_manager_users": f"{LOGIN}:admin",
            "simple_auth_manager_passwords_file": str(home / "passwords.json"),
        },
        "database": {"sql_alchemy_conn": f"sqlite:///{home / 'airflow.db'}"},
        "logging": {
            "base_log_folder": str(home / "logs"),
            # All components share the log folder, so no log server is needed. Port 0 makes sure that the UI,
            # which asks one first, never asks the log server of another Airflow on this machine.
            "worker_log_server_port": "0",
            "trigger_log_server_port": "0",
        },
        "api": {"host": "127.0.0.1", "port": str(settings.port), "base_url": settings.url, "workers": "1"},
        "dag_processor": {
            "parsing_processes": "1",
            "refresh_interval": str(settings.dag_interval),
            "min_file_process_interval": str(settings.dag_interval),
            "dag_bundle_storage_path": str(home / "bundles"),
        },
        "usage_data_collection": {"enabled": "False"},
    }
    more = settings.more_options
    return {section: {**ours.get(section, {}), **more.get(section, {})} for section in ours.keys() | more.keys()}


def write_configuration(settings: AirflowSettings) -> None:
    """Write airflow.cfg and the password file; secrets that exist are kept, so that the database stays readable."""
    settings.home.mkdir(parents=True, exist_ok=True)
    path = settings.home / "airflow.cfg"
    before = configparser.RawConfigParser()
    before.read(path, encoding="utf-8")

    config = configparser.RawConfigParser()
    config.read_dict(
        {
            section: {name: value.replace("%", "%%") for name, value in values.items()}
            for section, values in options(settings).items()
        }
    )
    if not config.has_section("api_auth"):
        config.add_section("api_auth")
    for section, name, made in (
        ("core", "fernet_key", base64.urlsafe_b64encode(os.urandom(32)).decode()),
        ("api", "secret_key", secrets.token_urlsafe(24)),
        ("api_auth", "jwt_secret", secrets.token_urlsafe(48)),
    ):
        config.set(section, name, before.get(section, name, fallback=made))

    with opened_for_owner(path) as file:
        config.write(file)
    with opened_for_owner(settings.home / "passwords.json") as file:
        json.dump({LOGIN: settings.password}, file)


def environment(settings: AirflowSettings, folder: Path) -> dict[str, str]:
    """Return the environment that Airflow's programs run in; all else is in airflow.cfg."""
    return clean_environment(folder) | {"AIRFLOW_HOME": str(settings.home)}


def programs(settings: AirflowSettings, folder: Path) -> list[Program]:
    """Return the programs that make a whole Airflow.

    They are those that `airflow standalone` starts; started one by one they need no log server (which listens on
    every address), write a log each, and stop with SIGTERM like in production.
    """
    env = environment(settings, folder)
    airflow = [sys.executable, "-m", "airflow"]
    database = [sys.executable, str(ROOT / "scripts" / "airflow_database.py")]
    return [
        Program("airflow-database", [*database, str(settings.home / "airflow.db")], env, once=True),
        Program("airflow-dag-processor", [*airflow, "dag-processor"], env),
        Program("airflow-api-server", [*airflow, "api-server"], env),
        Program("airflow-scheduler", [*airflow, "scheduler", "--skip-serve-logs"], env),
        Program("airflow-triggerer", [*airflow, "triggerer", "--skip-serve-logs"], env),
    ]
