"""One measurement: server and contender in processes of their own, told one plan, asked for what they saw."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from benchmarks.polling import contender, server
from benchmarks.polling.plan import INTERVAL, Address, Plan

__all__ = [
    "CONTENDERS",
    "KEEPS_UP",
    "Contender",
    "Figures",
    "Server",
    "measure",
    "median_of",
    "quantile",
    "running_server",
]

ROOT = Path(__file__).resolve().parents[2]
KEEPS_UP = 1.2
"""A round that takes more than so many intervals no longer fits into one."""
ANSWER_LIMIT = 30.0
"""Seconds beyond its plan after which a contender is given up."""


@dataclass(frozen=True)
class Contender:
    """A way to wait.

    :param module: its module in this package.
    :param label: what the docs call it.
    :param package: whose version is shown.
    :param python: the interpreter of the environment that has it.
    :param most: how many runs it is measured with at most.
    :param rounds: over how many rounds its CPU is taken; more where a round takes but a few milliseconds.
    :param settling: seconds after the last start before that.
    """

    module: str
    label: str
    package: str
    python: Path
    most: int = 10_000
    rounds: int = 1
    settling: float = 1.0

    @property
    def is_installed(self) -> bool:
        """Whether its environment could be made."""
        return self.python.exists()

    def version(self) -> str:
        """Give the version of its package."""
        asked = f"from importlib.metadata import version; print(version({self.package!r}))"
        return subprocess.run([self.python, "-c", asked], capture_output=True, text=True, check=True).stdout.strip()


OURS, PEERS = Path(sys.executable), ROOT / ".venv-peers" / "bin" / "python"
OFFICIAL = ROOT / ".venv-saagieapi" / "bin" / "python"
CONTENDERS = {
    found.module: found
    for found in (
        Contender("ours", "SaagieJobInstanceTrigger", "airflow-provider-saagie", OURS, rounds=2),
        Contender("bare", "a bare batched poller", "aiohttp", OURS, rounds=2),
        Contender("dbt_cloud", "dbt Cloud's trigger", "apache-airflow-providers-dbt-cloud", PEERS),
        Contender("databricks", "Databricks' trigger", "apache-airflow-providers-databricks", PEERS),
        Contender("airbyte", "Airbyte's trigger", "apache-airflow-providers-airbyte", PEERS),
        Contender("official_client", "saagieapi, a thread each", "saagieapi", OFFICIAL, most=200, settling=10.0),
    )
}


@dataclass(frozen=True)
class Figures:
    """What one measurement came to. A round is one look at each run.

    :param round_seconds: how long a round took; the interval, where it is kept.
    :param requests: requests a round.
    :param connections: new connections a round.
    :param cpu_ms: CPU of the client's process a round, in milliseconds.
    :param server_share: how much of a core the server took meanwhile.
    :param lag_p50_ms: how late a timer of 10 ms came in the event loop, median.
    :param lag_p99_ms: the same, the 99th of a hundred.
    :param kib_a_run: memory of the process for each run, in KiB.
    :param delay_p50_ms: from a run's end to its event, median.
    :param delay_p99_ms: the same, the 99th of a hundred.
    :param delay_max_ms: the same, the longest.
    :param missed: ends whose event did not come in time.
    :param failed: runs whose waiting ended with an error.
    """

    round_seconds: float
    requests: float
    connections: float
    cpu_ms: float
    server_share: float
    lag_p50_ms: float
    lag_p99_ms: float
    kib_a_run: float
    delay_p50_ms: float
    delay_p99_ms: float
    delay_max_ms: float
    missed: int
    failed: int

    @property
    def keeps_up(self) -> bool:
        """Whether a round fits into the interval."""
        return self.round_seconds <= KEEPS_UP * INTERVAL and not self.failed


@dataclass(frozen=True)
class Server:
    """The server's process.

    :param address: where it is.
    :param session: a kept connection to its controls.
    """

    address: Address
    session: requests.Session

    def take(self, plan: Plan) -> None:
        """Tell it a plan."""
        self.session.post(f"{self.address.url}/control/plan", data=plan.as_text(), timeout=60).raise_for_status()

    def counts(self) -> dict[str, float]:
        """Ask what it has counted."""
        return self.session.get(f"{self.address.url}/control/counts", timeout=60).json()


@contextmanager
def running_server() -> Iterator[Server]:
    """Run a server for the length of a block."""
    with tempfile.TemporaryDirectory() as folder, requests.Session() as session:
        command = [sys.executable, "-m", "benchmarks.polling.server", folder]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            url = process.stdout.readline().strip().removeprefix(server.READY)
            session.verify, session.trust_env = f"{folder}/authority.pem", False
            yield Server(Address(url, session.verify), session)
        finally:
            process.kill()
            process.communicate()


def measure(one: Contender, make: Callable[[], Plan]) -> Figures:
    """Measure once, with a fresh server and a fresh contender.

    :param one: who.
    :param make: gives the plan, once the contender is ready.
    :raises RuntimeError: where the contender gives no answer.
    """
    with (
        running_server() as platform,
        tempfile.TemporaryDirectory() as home,
        tempfile.TemporaryFile("w+") as log,
    ):
        address = platform.address
        command = [one.python, "-m", contender.__name__, one.module, address.url, address.authority]
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**environment, "AIRFLOW_HOME": home},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,  # a pipe that nobody reads would stop it once it is full
            text=True,
        )
        try:
            ready = process.stdout.readline()  # type: ignore[union-attr]  # they are pipes
            plan = make()
            if ready:
                platform.take(plan)
                process.stdin.write(plan.as_text() + "\n")  # type: ignore[union-attr]  # they are pipes
                process.stdin.flush()  # type: ignore[union-attr]  # they are pipes
                time.sleep(max(0.0, plan.cpu_from - time.monotonic()))
                before = platform.counts()
                time.sleep(max(0.0, plan.cpu_until - time.monotonic()))
                after = platform.counts()
            told, _ = process.communicate(timeout=plan.give_up - time.monotonic() + ANSWER_LIMIT)
            if not told:
                log.seek(0)
                raise RuntimeError(f"{one.label} with {plan.count:,} runs gave no answer: {log.read()[-2000:]}")
        finally:
            process.kill()
            process.communicate()
    return figures_of(plan, before, after, json.loads(told))


def figures_of(plan: Plan, before: dict[str, float], after: dict[str, float], told: dict[str, Any]) -> Figures:
    """Put together what server and contender saw.

    :param before: the server's counts at the beginning of the time that is measured.
    :param after: the same at its end.
    :param told: the contender's answer.
    """
    seen = {name: after[name] - before[name] for name in before}
    rounds = max(seen["looks"], 1) / plan.count
    events = {int(n): at for n, at in told["events"].items()}
    delays = sorted(events[n] - at for n, at in plan.ends.items() if n in events)
    return Figures(
        round_seconds=seen["at"] / rounds,
        requests=seen["requests"] / rounds,
        connections=seen["connections"] / rounds,
        cpu_ms=told["cpu"] * 1000 / rounds,
        server_share=seen["cpu"] / seen["at"],
        lag_p50_ms=quantile(told["lags"], 0.5) * 1000,
        lag_p99_ms=quantile(told["lags"], 0.99) * 1000,
        kib_a_run=told["bytes_a_run"] / 1024,
        delay_p50_ms=quantile(delays, 0.5) * 1000,
        delay_p99_ms=quantile(delays, 0.99) * 1000,
        delay_max_ms=quantile(delays, 1) * 1000,
        missed=len(plan.ends) - len(delays),
        failed=told["failed"],
    )


def quantile(in_order: list[float], share: float) -> float:
    """Give the value that a share of the others does not pass; not a number where there is none."""
    return in_order[min(len(in_order) - 1, int(share * len(in_order)))] if in_order else float("nan")


def median_of(repeats: list[Figures]) -> Figures:
    """Give of each figure the median."""
    return Figures(*(statistics.median(getattr(one, name) for one in repeats) for name in Figures.__annotations__))
