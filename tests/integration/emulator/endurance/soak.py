"""Work on an emulator while faults are injected, and balance the books at the end: ours with the platform's.

By hand: ``python -m tests.integration.emulator.endurance.soak --minutes 10``. The suite runs some seconds of it only.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.emulator import testing
from airflow_provider_saagie.emulator.faults import KINDS
from tests.integration.emulator.endurance.actor import Actor
from tests.integration.emulator.endurance.books import processes_in
from tests.integration.emulator.endurance.kills import ACTORS, end
from tests.integration.emulator.endurance.platform import Outcome

if TYPE_CHECKING:
    from concurrent.futures import Future

    from airflow_provider_saagie.emulator.testing import Emulator

PAUSE = 0.05  # seconds between an actor's mutations
FAULT_EVERY = 0.7  # seconds, on average
LEAST_FAULTS, LEAST_MUTATIONS = 5, 60  # a slow machine works for longer
OPERATIONS = ("*", "login", "artifact", "runJob", "createJob", "addJobVersion", "stopJobInstance", "deleteJobInstances")


@dataclass
class Result:
    """What happened.

    :param mutations: their number by what was known of them and whether they were done.
    :param faults: how many requests were struck, by kind of fault.
    :param memory: of the emulator's process at the end, in MiB.
    """

    mutations: Counter[str]
    faults: dict[str, int]
    memory: float


def soak(folder: Path, seconds: float, seed: int) -> Result:
    """Work while faults are injected, and compare all books."""
    emulator = testing.start(folder)
    try:
        actors = [Actor(emulator, f"actor {number}", seed * 100 + number) for number in range(ACTORS)]
        before, over = len(emulator.requests()), threading.Event()
        with ThreadPoolExecutor(len(actors)) as pool:
            working = [pool.submit(_work, actor, over) for actor in actors]
            try:
                _inject(emulator, seconds, random.Random(seed), actors, working)
            finally:
                emulator.clear_faults()
                over.set()
        for one in working:
            one.result()
        for actor in actors:
            actor.settle()
            actor.check_files()
            actor.platform.close()
        balance(actors, emulator.requests()[before:])
        status = Path(f"/proc/{emulator.process.pid}/status").read_text()
        memory = int(status.partition("VmRSS:")[2].split()[0]) / 1024
        result = Result(sum((actor.counts() for actor in actors), Counter()), emulator.stats()["faults"], memory)
    finally:
        end(emulator, folder)
    assert processes_in(folder / "data") == []
    return result


def balance(actors: list[Actor], listed: list[dict[str, Any]]) -> None:
    """Compare the actors' journals with the platform's list: each mutation once, with one outcome."""
    outcomes = {one["user_agent"]: one["outcome"] for one in listed}
    assert len(outcomes) == len(listed), "a mutation came twice"
    for actor in actors:
        for entry in actor.journal:
            outcome = outcomes.pop(entry.agent, "never came")
            assert (outcome == "done") is entry.happened, f"{entry} was {outcome!r} on the platform"
    assert outcomes == {}, "the platform lists mutations that no actor sent"


def _work(actor: Actor, over: threading.Event) -> None:
    while not over.wait(PAUSE):
        if actor.step() is Outcome.DOUBT:
            actor.settle()


def _inject(
    emulator: Emulator, seconds: float, chance: random.Random, actors: list[Actor], working: list[Future[None]]
) -> None:
    deadline = time.monotonic() + seconds
    while not any(one.done() for one in working):
        struck, written = sum(emulator.stats()["faults"].values()), sum(len(actor.journal) for actor in actors)
        if time.monotonic() > deadline and struck >= LEAST_FAULTS and written >= LEAST_MUTATIONS:
            return
        what = chance.choice(sorted(KINDS))
        wish: dict[str, Any] = {"times": chance.randint(1, 3), "occurrence": chance.randint(1, 5)}
        if what == "delay":
            wish |= {"seconds": chance.uniform(0.05, 2), "when": chance.choice(["before", "after"])}
        if what == "outage":
            wish |= {"seconds": chance.uniform(0.05, 1.5)}
        if what == "status":
            wish |= {"status": chance.choice([429, 500, 502, 503, 504])}
        emulator.fault(what, chance.choice(OPERATIONS), **wish)
        time.sleep(chance.expovariate(1 / FAULT_EVERY))


def main() -> None:
    """Run it by hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = soak(Path(folder), given.minutes * 60, given.seed)
    print(f"{given}: the books are balanced: {result}")  # noqa: T201, it is a command


if __name__ == "__main__":
    main()
