"""An Airflow as on several machines, on this one: what runs, and how it is set up."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from scripts import backends
from scripts.airflow_settings import environment
from scripts.processes import Program
from scripts.stack import Wishes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from scripts.airflow_settings import AirflowSettings
    from scripts.backends import Backends

SCHEDULERS = ("airflow-scheduler-1", "airflow-scheduler-2")
WORKERS = ("airflow-worker-1", "airflow-worker-2")
TRIGGERERS = ("airflow-triggerer-1", "airflow-triggerer-2")
CELERY = ("celery", "worker", "--skip-serve-logs", "--without-gossip", "--without-mingle")
CONCURRENCY = 4  # tasks at once, of each worker


def options(found: Backends) -> dict[str, dict[str, str]]:
    """Return what differs from the Airflow of `make up`, by section."""
    return {
        "core": {"executor": "CeleryExecutor"},
        "database": {"sql_alchemy_conn": found.database_url, "sql_alchemy_pool_size": "5"},
        "celery": {
            "broker_url": found.queue_url,
            "result_backend": f"db+{found.database_url}",
            "worker_concurrency": str(CONCURRENCY),
            "worker_prefetch_multiplier": "1",
            "worker_enable_remote_control": "True",
        },
        "celery_broker_transport_options": {"visibility_timeout": "86400"},
    }


def programs(
    settings: AirflowSettings,
    folder: Path,
    found: Backends,
    more_environment: Mapping[str, str],
    of_second_worker: Mapping[str, str],
) -> list[Program]:
    """Return the programs of a cluster: all but the API server are started anew where they end, as in production."""
    env = environment(settings, folder) | more_environment
    airflow = [sys.executable, "-m", "airflow"]

    def lasting(name: str, *arguments: str) -> Program:
        its = env | (of_second_worker if name == WORKERS[1] else {})
        return Program(name, [*airflow, *arguments], its, restarts=True)

    return [
        *backends.programs(found, folder),
        backends.database_program(found, env),
        Program("airflow-api-server", [*airflow, "api-server"], env),
        lasting("airflow-dag-processor", "dag-processor"),
        *(lasting(name, "scheduler", "--skip-serve-logs") for name in SCHEDULERS),
        *(lasting(name, "triggerer", "--skip-serve-logs") for name in TRIGGERERS),
        *(lasting(name, *CELERY, "--celery-hostname", f"{name}@%h") for name in WORKERS),
    ]


def wishes(
    folder: Path,
    dags: Path,
    *,
    more_options: Mapping[str, Mapping[str, str]] | None = None,
    more_environment: Mapping[str, str] | None = None,
    of_second_worker: Mapping[str, str] | None = None,
    **others: Any,
) -> Wishes:
    """Return a stack's wishes for a cluster.

    :param folder: holds everything that it writes.
    :param dags: the folder with the DAG files.
    :param more_options: what else is to differ from Airflow's defaults, by section.
    :param more_environment: what else Airflow's programs have in their environment.
    :param of_second_worker: what only the second worker has there.
    :param others: more of `Wishes`.
    :raises StackError: where PostgreSQL or Redis is not installed.
    """
    found = backends.prepare(folder / "backends")
    ours, theirs = options(found), more_options or {}
    return Wishes(
        folder,
        dags,
        more_options={name: {**ours.get(name, {}), **theirs.get(name, {})} for name in ours.keys() | theirs.keys()},
        programs=lambda settings, into: programs(settings, into, found, more_environment or {}, of_second_worker or {}),
        saagie_restarts=True,
        **others,
    )
