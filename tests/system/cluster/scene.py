"""The scene of the chaos: a cluster with its own DAGs, short time limits, and what can be seen of it from outside."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras
import requests

from airflow_provider_saagie.client import instances
from airflow_provider_saagie.client.instances import JobInstance
from scripts import cluster, cluster_layout
from scripts import stack as stacks
from scripts.airflow_settings import new_password
from scripts.processes import StackError
from scripts.stack import Stack
from tests.system.cluster.peer_server import Peer, peer_server
from tests.system.stack.saagie_side import SaagieSide, connect

DAGS = Path(__file__).parent / "dags"
JOB_SECONDS = 20  # how long an instance lasts
# How soon Airflow notices that something died: a few seconds each, where its defaults are minutes.
SHORT: dict[str, dict[str, str]] = {
    "scheduler": {
        "task_instance_heartbeat_timeout": "15",
        "task_instance_heartbeat_timeout_detection_interval": "3",
        "orphaned_tasks_check_interval": "15",
        "task_queued_timeout": "30",
        "task_queued_timeout_check_interval": "10",
    },
    "workers": {"min_heartbeat_interval": "2"},
    "triggerer": {"triggerer_health_check_threshold": "12", "job_heartbeat_sec": "2"},
    "celery": {"worker_concurrency": "10"},
}
ANSWER_DELAY = 0.6  # seconds by which each answer to runJob is late, so that a kill can fall before it


@dataclass(frozen=True)
class Seen:
    """A task instance at one moment, as Airflow's database has it, and what its task has stored."""

    dag_id: str
    run_id: str
    map_index: int
    state: str | None
    try_number: int
    pid: int | None
    next_method: str | None
    run_state: str
    stored: dict[str, Any] | None

    @property
    def key(self) -> tuple[str, int]:
        """What names it: its run is of one DAG only."""
        return self.run_id, self.map_index

    @property
    def instance_id(self) -> str | None:
        """The instance that is stored."""
        return self.stored.get("instance_id") if self.stored else None


TASKS = """
SELECT t.dag_id, t.run_id, t.map_index, t.state, t.try_number, t.pid, t.next_method, r.state, s.value
FROM task_instance t JOIN dag_run r ON r.dag_id = t.dag_id AND r.run_id = t.run_id
LEFT JOIN task_state_store s ON s.dag_run_id = r.id AND s.task_id = t.task_id AND s.map_index = t.map_index
WHERE t.dag_id LIKE 'chaos_%%' AND t.run_id = ANY(%s)
"""


@dataclass
class Scene:
    """A running cluster.

    :param points: the folder in which failpoints are asked for.
    """

    stack: Stack
    saagie: SaagieSide
    points: Path
    database_url: str
    mutations: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    peer: Peer | None = None
    job_seconds: float = JOB_SECONDS

    @property
    def folder(self) -> Path:
        """The folder of the cluster."""
        return self.stack.wishes.folder

    def new_job(self, name: str) -> str:
        """Make a job and return its id."""
        made = self.saagie.client.jobs.create(
            name, self.saagie.client.get_project_id("Demo"), technology="bash", runtime_version="debian12-bookworm",
            command_line="true",
        )  # fmt: skip
        return str(made["data"]["createJob"]["id"])

    def instances(self, job_id: str) -> list[JobInstance]:
        """List a job's instances, the oldest first."""
        return sorted(self.saagie.client.session.run(instances.list_newer(job_id, 0)), key=lambda one: one.number or 0)

    def begin(self, dag_id: str, run_id: str, job_id: str) -> None:
        """Start a DAG run."""
        number = int(run_id.rpartition("-")[2]) if "-" in run_id else 0
        if self.peer:
            self.peer.jobs[number] = job_id
        body = {"logical_date": None, "dag_run_id": run_id, "conf": {"job_id": job_id, "number": number}}
        try:
            self.stack.airflow.call("POST", f"dags/{dag_id}/dagRuns", json=body)
        except StackError as error:
            if "Airflow answered 409" not in str(error):  # it was started, and the answer was lost
                raise

    def tasks(self, run_ids: list[str]) -> list[Seen]:
        """Look at the tasks of some runs; nothing where the database is away."""
        with suppress(psycopg2.Error), closing(psycopg2.connect(self.database_url)) as connection:
            with connection.cursor() as cursor:
                cursor.execute(TASKS, (run_ids,))
                rows = cursor.fetchall()
            return [Seen(*row[:8], _stored(row[8])) for row in rows]
        return []

    def returned(self, seen: Seen) -> str | None:
        """Return what a task instance has returned."""
        found = self.stack.airflow.xcom(seen.dag_id, seen.run_id, "run", map_index=seen.map_index)
        if self.peer and seen.dag_id.startswith("chaos_dbt"):
            return self.peer.instance_of(found)
        return str(found) if found else None

    def collect(self) -> None:
        """Take over the emulator's list of mutations: it begins afresh where it is restarted."""
        with suppress(requests.RequestException, ValueError):
            answer = requests.get(f"{self.saagie.url}/emulator/requests", timeout=2)
            for one in answer.json()["requests"]:
                # The outcome comes later: the newest entry counts.
                self.mutations[one["time"], one["user_agent"], str(one["variables"])] = one

    def delay_answers(self) -> None:
        """Have every answer to runJob be late; an emulator that was restarted has forgotten that."""
        wish = {"what": "delay", "operation": "runJob", "seconds": ANSWER_DELAY, "when": "after", "times": 0}
        with suppress(requests.RequestException):
            found = requests.get(f"{self.saagie.url}/emulator/faults", timeout=2).json()["faults"]
            if not found:
                requests.post(f"{self.saagie.url}/emulator/faults", json=wish, timeout=2)

    def runs_sent(self, seen: Seen) -> list[dict[str, Any]]:
        """List the mutations runJob of a task instance."""
        job = self.peer.jobs.get(int(seen.run_id.rpartition("-")[2])) if self.peer else None
        marks = [f"run={seen.run_id};", *([f"map_index={seen.map_index};"] if seen.map_index >= 0 else [])]
        return [
            one
            for one in self.mutations.values()
            if "runJob" in one["fields"]
            and (all(mark in one["user_agent"] for mark in marks) or job in one["variables"].values())
        ]

    def ask_for(self, run_id: str, map_index: int, point: str, how: str) -> None:
        """Have a task strike itself at a point."""
        part = self.points / f"{run_id}.part"
        part.write_text(json.dumps({"point": point, "how": how, "map_index": map_index}))
        part.rename(part.with_suffix(".json"))

    def struck(self, run_id: str) -> dict[str, Any] | None:
        """Say what a task has done to itself, None where it has not yet."""
        path = self.points / f"{run_id}.struck"
        if not path.exists():
            return None
        found: dict[str, Any] = json.loads(path.read_text())
        return found | {"at": path.stat().st_mtime}  # by the machine's clock, whatever the task's says


@contextmanager
def scene(
    folder: Path,
    *,
    skew: int = 0,
    job_seconds: int = JOB_SECONDS,
    with_peers: bool = False,
    saagie_keeps_password: bool = False,
) -> Iterator[Scene]:
    """Run a cluster for the length of a block.

    :param folder: emptied first.
    :param skew: seconds by which the clock of the second worker is ahead.
    :param job_seconds: how long an instance lasts.
    :param with_peers: whether others' operators are there, too.
    :param saagie_keeps_password: whether the local Saagie's password can be changed in its folder.
    """
    stacks.clear(folder)
    if with_peers:
        with peer_server(folder) as (peer, port, trusted):
            # Where requests and aiohttp look for whom to trust.
            more = {"SAAGIE_CHAOS_PEERS": "1", "REQUESTS_CA_BUNDLE": str(trusted), "SSL_CERT_FILE": str(trusted)}
            with _scene(folder, skew, job_seconds, more, saagie_keeps_password) as found:
                dbt = {"connection_id": "dbt_cloud_default", "conn_type": "dbt_cloud", "login": "1"}
                found.stack.airflow.put_connection(dbt | {"password": "a token", "host": f"localhost:{port}"})
                found.stack.airflow.wait_for_dag("chaos_mixin")
                found.peer, peer.settings = peer, found.saagie.client.settings
                yield found
        return
    with _scene(folder, skew, job_seconds, {}, saagie_keeps_password) as found:
        yield found


@contextmanager
def _scene(
    folder: Path, skew: int, job_seconds: int, more_environment: dict[str, str], saagie_keeps_password: bool
) -> Iterator[Scene]:
    dags = folder / "dags"
    shutil.copytree(DAGS, dags, ignore=shutil.ignore_patterns("__pycache__"))
    points = folder / "points"
    points.mkdir()
    wishes = cluster_layout.wishes(
        folder,
        dags,
        more_options=SHORT,
        airflow_password=new_password(),
        saagie_password=new_password(),
        parallelism=64,
        saagie_options=("--simulate", "--simulate-seconds", str(job_seconds)),
        more_environment={"SAAGIE_CHAOS_FOLDER": str(points), **more_environment},
        of_second_worker=clock_ahead(skew, folder) if skew else {},
        saagie_keeps_password=saagie_keeps_password,
    )
    stack = stacks.start(wishes)
    try:
        cluster.wait_for_members(stack)
        extra = json.loads(stack.connection["extra"]) | {"timeout": 3}
        stack.airflow.put_connection(stack.connection | {"connection_id": "saagie_short", "extra": json.dumps(extra)})
        for dag_id in ("chaos_deferred", "chaos_shared_fail"):
            stack.airflow.wait_for_dag(dag_id)
        saagie = connect(stack)
        url = wishes.more_options["database"]["sql_alchemy_conn"].replace("+psycopg2", "")
        found = Scene(stack, saagie, points, url, job_seconds=job_seconds)
        found.delay_answers()
        yield found
        saagie.client.close()
    finally:
        stacks.stop_undisturbed(stack)


def clock_ahead(seconds: int, folder: Path) -> dict[str, str]:
    """Give the environment in which a process sees another time of day; needs a C compiler.

    :raises StackError: where there is none.
    """
    if shutil.which("cc") is None:
        raise StackError("Another time of day needs a C compiler, such as Debian's package gcc has: `cc` is not there.")
    library = folder / "clock_ahead.so"
    source = Path(__file__).with_name("clock_ahead.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source)], check=True)
    return {"LD_PRELOAD": str(library), "CLOCK_AHEAD": str(seconds)}


def now() -> float:
    """Give the time, in seconds since 1970."""
    return time.time()


def moment(iso: str) -> float:
    """Read a time of the emulator's."""
    return datetime.fromisoformat(iso).astimezone(UTC).timestamp()


def _stored(value: str | None) -> dict[str, Any] | None:
    found = json.loads(value) if value else None
    return found if isinstance(found, dict) else None  # a peer stores something else
