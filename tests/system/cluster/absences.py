"""Long absences: a part of Airflow, the database or Saagie is away, or a password changes, while many wait.

By hand: `python -m tests.system.cluster.absences saagie --seconds 600`. 200 deferred tasks wait (they are written
into the database as they are while they wait), and a few that were really started wait in triggerers and in workers.
Then somebody is away. The exit code is 1 where a task did not end well with one instance, an instance was stopped, or a
secret was found.
"""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import requests

from scripts import cluster_layout, processes
from scripts import stack as stacks
from scripts.airflow_settings import new_password
from tests.system.cluster import thousand
from tests.system.cluster.accounts import TaskEnd, balance
from tests.system.cluster.chaos import FOLDER, say
from tests.system.cluster.scene import Scene, scene
from tests.system.cluster.secret_hunt import hunt
from tests.system.cluster.striker import send_signal
from tests.system.cluster.thousand import family_of, until
from tests.system.stack.saagie_side import connect

CROWD = 200  # as many as the DAG has
DAG, RUN = "chaos_crowd", "crowd"
LIVE = 8  # tasks that are really started, half of them deferred
AWAKE = 40.0  # seconds, in which Airflow tells a triggerer that wakes up to kill what it no longer has
PATIENCE = 600.0  # seconds, after the absence, until all have ended


@dataclass(frozen=True)
class Absence:
    """Who is away.

    :param seconds: for how long, where nothing else is asked for.
    :param happen: does it; gets the seconds.
    :param job_seconds: how long an instance lasts, by the seconds.
    """

    seconds: float
    happen: Callable[[Scene, float], None]
    job_seconds: Callable[[float], float]


def saagie(found: Scene, seconds: float) -> None:
    """Have Saagie say nothing for the first half, and refuse every request for the second."""
    stand_still(found, "saagie", seconds / 2)
    wish = {"what": "outage", "seconds": seconds / 2}
    requests.post(f"{found.saagie.url}/emulator/faults", json=wish, timeout=10).raise_for_status()
    say("Saagie refuses every request")
    time.sleep(seconds / 2)


def password(found: Scene, seconds: float) -> None:
    """Change the user's password in Saagie, where no token is good any more; later edit Airflow's connection."""
    connections = [found.stack.connection, short_connection(found)]
    changed = new_password()
    stacks.keep_password(found.folder, changed)
    (found.folder / "saagie" / "token.key").unlink()
    send_signal(family_of(found, "saagie"), signal.SIGKILL)
    say("the password is another one")
    time.sleep(seconds)
    counted = requests.get(f"{found.saagie.url}/emulator/stats", timeout=10).json()["requests"]
    say(f"{counted.get('login', 0)} logins were refused in {seconds:.0f} s")
    for one in connections:
        found.stack.airflow.put_connection(one | {"password": changed})
    found.stack.wishes = dataclasses.replace(found.stack.wishes, saagie_password=changed)
    found.saagie.client.close()
    found.saagie = connect(found.stack)
    say("the connection is edited")


def database(found: Scene, seconds: float) -> None:
    """Restart PostgreSQL, first as an administrator does, then by a crash, while tasks start, wait and end."""
    for number, how in enumerate((signal.SIGINT, signal.SIGKILL)):
        main = family_of(found, "postgres")[0]
        send_signal([main], how)
        say(f"PostgreSQL got {how.name}")
        time.sleep(seconds / 2)
        if number == 0:
            live(found, range(LIVE + 1, 2 * LIVE + 1))


def triggerer(found: Scene, seconds: float) -> None:
    """Have each triggerer stand still, past its health threshold: one of them has the crowd, the other gets it."""
    for name in cluster_layout.TRIGGERERS:
        stand_still(found, name, seconds)
        time.sleep(AWAKE)
        say(f"the crowd waits in {dict(thousand.holders(found, RUN))}")


def scheduler(found: Scene, seconds: float) -> None:
    """Kill one scheduler; have both stand still, while instances end; then each alone, past its health threshold."""
    send_signal(family_of(found, cluster_layout.SCHEDULERS[0]), signal.SIGKILL)
    say(f"{cluster_layout.SCHEDULERS[0]} was killed")
    time.sleep(AWAKE)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: stand_still(found, name, seconds), cluster_layout.SCHEDULERS))
    live(found, range(LIVE + 1, 2 * LIVE + 1))
    for name in cluster_layout.SCHEDULERS:
        stand_still(found, name, seconds / 2)


def api_server(found: Scene, seconds: float) -> None:
    """Have Airflow's API server say nothing."""
    stand_still(found, "airflow-api-server", seconds)


ABSENCES = {
    "saagie": Absence(600, saagie, lambda seconds: 0.6 * seconds + 60),
    "password": Absence(60, password, lambda seconds: seconds + 100),
    "database": Absence(60, database, lambda _: 50),
    "triggerer": Absence(120, triggerer, lambda seconds: 2 * (seconds + AWAKE) + 60),
    "scheduler": Absence(90, scheduler, lambda seconds: seconds + 30),
    "api-server": Absence(180, api_server, lambda seconds: seconds + 60),
}


def stand_still(found: Scene, name: str, seconds: float) -> None:
    """Stop a program's processes for a while."""
    family = family_of(found, name)
    send_signal(family, signal.SIGSTOP)
    say(f"{name} stands still")
    try:
        time.sleep(seconds)
    finally:
        send_signal(family, signal.SIGCONT)
    say(f"{name} goes on")


def short_connection(found: Scene) -> dict[str, object]:
    """Give the connection that the DAGs use, with the fields of Airflow's REST API but the password."""
    known = found.stack.airflow.connection("saagie_short") or {}
    return {name: known[name] for name in ("connection_id", "conn_type", "host", "port", "login", "extra")}


def live(found: Scene, numbers: range) -> None:
    """Start runs with a job each, by turns deferred and waiting in a worker."""
    for number in numbers:
        run_id = f"live-{number}"
        JOBS[run_id] = found.new_job(run_id)
        found.begin("chaos_deferred" if number % 2 else "chaos_waiting", run_id, JOBS[run_id])


JOBS: dict[str, str] = {}  # of the live runs


def run(name: str, seconds: float | None, folder: Path) -> bool:
    """Have one absence happen, and balance the books.

    :param seconds: for how long, None for what it has.
    :param folder: emptied first.
    :return: whether all is right.
    """
    absence = ABSENCES[name]
    seconds = seconds or absence.seconds
    job_seconds = round(absence.job_seconds(seconds))
    JOBS.clear()
    with scene(folder, job_seconds=job_seconds, saagie_keeps_password=name == "password") as found:
        first_password = found.stack.wishes.saagie_password
        live(found, range(1, LIVE + 1))
        until("the live ones wait", lambda: waiting(found) == LIVE)
        requests.delete(f"{found.saagie.url}/emulator/faults", timeout=10).raise_for_status()
        crowd = found.new_job("Crowd")
        ids = thousand.start(found, crowd, CROWD)
        thousand.park(found, crowd, ids, DAG, RUN)
        until("the crowd waits", lambda: thousand.holders(found, RUN).total() == CROWD, 240)
        say(f"it waits in {dict(thousand.holders(found, RUN))}")
        time.sleep(5)
        say(f"{name} for {seconds:.0f} s, instances last {job_seconds} s")
        absence.happen(found, seconds)
        with suppress(requests.RequestException):
            thousand.open_pool(found)
        until("all have ended", lambda: over(found), PATIENCE, every=5, shown=lambda: told(found))
        time.sleep(5)
        secrets = hunt(found, first_password)
        say(f"Secrets found: {secrets or 'none'}")
        return balanced(found, crowd) and not secrets


def waiting(found: Scene) -> int:
    """Count the live tasks whose instance runs."""
    return sum(one.instance_id is not None for one in found.tasks(list(JOBS)))


def over(found: Scene) -> bool:
    """Say whether all tasks have ended."""
    return set(told(found)) <= {"success", "failed", "upstream_failed"}


def told(found: Scene) -> Counter[str]:
    """Count all tasks by their states; "unknown" where the database can't be asked."""
    try:
        everything = thousand.states(found, RUN)
    except psycopg2.Error:
        return Counter({"unknown": 1})
    everything.update(str(one.state) for one in found.tasks(list(JOBS)))
    return everything


def balanced(found: Scene, crowd: str) -> bool:
    """Say what came of it, and whether it is what should."""
    tries = thousand.query(
        found, "SELECT try_number, count(*) FROM task_instance WHERE run_id = %s GROUP BY try_number", RUN
    )
    ends = Counter(one.status for one in found.instances(crowd))
    states = thousand.states(found, RUN)
    say(f"crowd: tasks {dict(states)}, instances {dict(ends)}, tries {dict(tries)}")
    right = states == {"success": CROWD} and ends == {"SUCCEEDED": CROWD}
    for one in found.tasks(list(JOBS)):
        its = found.instances(JOBS[one.run_id])
        account = balance(its, [TaskEnd(one.state, found.returned(one), one.try_number)], may_stop=0)
        say(
            f"{one.run_id} {one.dag_id}: try {one.try_number} {one.state}, {[i.status for i in its]} {account.findings}"
        )
        right = right and not account.findings
    say("all is right" if right else "NOT all is right")
    return right


def main() -> int:
    """Parse the command line, run, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"who is away: {', '.join(ABSENCES)}; all, one after the other")
    parser.add_argument("--seconds", type=float, help="for how long, in place of what each has")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="emptied first; gets all logs")
    given = parser.parse_args()
    if unknown := set(given.names) - set(ABSENCES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    with processes.signals_raise(), processes.lock(given.folder / "lock"):
        results = [run(name, given.seconds, given.folder) for name in given.names or ABSENCES]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
