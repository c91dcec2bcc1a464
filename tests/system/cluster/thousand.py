"""A thousand deferred tasks, and triggerers that are killed, are frozen past their health threshold, and wake up.

By hand: `python -m tests.system.cluster.thousand`. The exit code is 1 where an instance was stopped, a task did not
end well, or a secret was found.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import requests

from airflow_provider_saagie.client import instances
from airflow_provider_saagie.client.session import Session
from scripts import airflow_settings, cluster_layout, processes
from scripts.processes import ROOT
from tests.system.cluster.chaos import FOLDER, say
from tests.system.cluster.scene import SHORT, Scene, scene
from tests.system.cluster.secret_hunt import hunt
from tests.system.cluster.striker import send_signal

MANY = 1000
DAG, RUN = "chaos_thousand", "thousand"
DAY = 86_400  # seconds
PATIENCE = 1800  # seconds until all tasks have ended: each is a process that starts, on whatever cores there are
FROZEN = 3 * float(SHORT["triggerer"]["triggerer_health_check_threshold"])  # seconds


def main() -> int:
    """Run it, return the exit code."""
    with processes.signals_raise(), processes.lock(FOLDER / "lock"), scene(FOLDER, job_seconds=DAY) as found:
        requests.delete(f"{found.saagie.url}/emulator/faults", timeout=10)
        job_id = found.new_job("Thousand")
        ids = start(found, job_id)
        say(f"{len(ids)} instances run")
        park(found, job_id, ids)
        until("all wait", lambda: states(found) == {"deferred": MANY})
        until("each triggerer has some", lambda: len(holders(found)) == 2)
        until("both ask for them", lambda: asked(found) > 4 * MANY / 100)
        family = family_of(found, cluster_layout.TRIGGERERS[0])
        send_signal(family, signal.SIGKILL)
        say(f"killed a triggerer: {holders(found)}")
        lost = set(holders(found))
        until("others have its triggers", lambda: len(set(holders(found)) - lost) > 0 or len(holders(found)) == 1, 120)
        say(f"they wait in {holders(found)}")
        time.sleep(10)
        family = family_of(found, cluster_layout.TRIGGERERS[1])
        before = holders(found)
        send_signal(family, signal.SIGSTOP)
        try:
            until("the other one has all", lambda: len(holders(found)) == 1 and holders(found) != before, 120)
            time.sleep(FROZEN / 2)
        finally:
            send_signal(family, signal.SIGCONT)
        say(f"woke the frozen triggerer: {holders(found)}")
        time.sleep(40)  # in which Airflow tells it to kill what it no longer has
        say(f"stops asked for: {stops(found)}; states {dict(states(found))}")
        open_pool(found)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda one: found.saagie.end(one, "SUCCEEDED"), ids))
        say("all instances have ended")
        until(
            "all tasks have ended",
            lambda: states(found) == {"success": MANY},
            PATIENCE,
            every=10,
            shown=lambda: states(found),
        )
        ends = Counter(one.status for one in found.instances(job_id))
        say(f"tasks {dict(states(found))}, instances {dict(ends)}, stops asked for: {stops(found)}")
        secrets = hunt(found)
        say(f"Secrets found: {secrets or 'none'}")
        well = ends == {"SUCCEEDED": MANY} and stops(found) == 0 and states(found) == {"success": MANY}
        return 0 if well and not secrets else 1


def start(found: Scene, job_id: str, count: int = MANY) -> list[str]:
    """Start instances, four at a time."""

    def some(few: int) -> list[str]:
        with Session(found.saagie.client.settings) as session:
            return [session.run(instances.run(job_id))["runJob"]["id"] for _ in range(few)]

    with ThreadPoolExecutor(4) as pool:
        return [one for ids in pool.map(some, [count // 4] * 4) for one in ids]


def park(found: Scene, job_id: str, ids: list[str], dag_id: str = DAG, run_id: str = RUN) -> None:
    """Have the tasks wait, as if each had started one of the instances."""
    airflow = found.stack.airflow
    airflow.call("POST", "pools", json={"name": "parked", "slots": 0})
    airflow.wait_for_dag(dag_id)
    found.begin(dag_id, run_id, job_id)
    until("the tasks are there", lambda: states(found, run_id).total() == len(ids))
    time.sleep(5)  # the scheduler has them by then, and finds no slot
    project = found.saagie.client.get_project_id("Demo")
    subprocess.run(
        [sys.executable, "-m", "tests.system.cluster.park", run_id, job_id, project],
        input="\n".join(ids), text=True, check=True, cwd=ROOT,
        env=airflow_settings.environment(found.stack.settings, found.folder) | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def states(found: Scene, run_id: str = RUN) -> Counter[str]:
    """Count the tasks by their states."""
    return query(found, "SELECT state, count(*) FROM task_instance WHERE run_id = %s GROUP BY state", run_id)


def open_pool(found: Scene) -> None:
    """Let what has waited end: as many at a time as the workers take."""
    pool = {"name": "parked", "slots": 128, "include_deferred": False}
    found.stack.airflow.call("PATCH", "pools/parked", json=pool)


def holders(found: Scene, run_id: str = RUN) -> Counter[str]:
    """Count the triggers by who has them."""
    return query(
        found,
        "SELECT g.triggerer_id, count(*) FROM trigger g JOIN task_instance t ON t.trigger_id = g.id"
        " WHERE t.run_id = %s AND g.triggerer_id IS NOT NULL GROUP BY g.triggerer_id",
        run_id,
    )


def query(found: Scene, text: str, *values: str) -> Counter[str]:
    """Ask the metadata database for names and their counts."""
    with closing(psycopg2.connect(found.database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(text, values)
        return Counter({str(name): count for name, count in cursor.fetchall()})


def asked(found: Scene) -> int:
    """Count the watchers' requests."""
    figures = requests.get(f"{found.saagie.url}/emulator/stats", timeout=10).json()["requests"]
    return sum(count for name, count in figures.items() if name.lower().startswith("watch"))


def stops(found: Scene) -> int:
    """Count the requests to stop an instance."""
    listed = requests.get(f"{found.saagie.url}/emulator/requests", timeout=30).json()["requests"]
    return sum("stopJobInstance" in one["fields"] for one in listed)


def family_of(found: Scene, name: str) -> list[int]:
    """List a program's processes."""
    main = processes.program_of(found.folder, name)
    assert main is not None
    return [main.pid, *(child.pid for child in main.children(recursive=True))]


def until(
    what: str,
    reached: Callable[[], bool],
    seconds: float = 120,
    *,
    every: float = 1.0,
    shown: Callable[[], object] = str,
) -> None:
    """Wait for something, and say when it is there."""
    began = time.monotonic()
    while not reached():
        assert time.monotonic() - began < seconds, f"Not in time: {what} {shown()}"
        time.sleep(every)
    say(f"{time.monotonic() - began:.0f} s: {what}")


if __name__ == "__main__":
    sys.exit(main())
