"""Work on an emulator while faults are injected, and balance the books at the end: ours with the platform's.

By hand: ``python -m tests.integration.emulator.endurance.soak --minutes 10``. The suite runs some seconds of it only.
"""

import random
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from airflow_provider_saagie.emulator.faults import KINDS
from tests.integration.emulator.endurance.actor import DOUBT, Actor, actors_in, options

PAUSE = 0.05  # seconds between an actor's mutations
FAULT_EVERY = 0.7  # seconds, on average
LEAST_FAULTS, LEAST_MUTATIONS = 5, 60  # a slow machine works for longer
OPERATIONS = ("*", "login", "artifact", "runJob", "createJob", "addJobVersion", "stopJobInstance", "deleteJobInstances")


def soak(folder: Path, seconds: float, seed: int) -> tuple[Counter[str], dict[str, int], float]:
    """Work while faults are injected, and compare all books.

    :return: the number of mutations by what was known of them and whether they were done; of requests that were struck
        by kind of fault; the memory of the emulator's process at the end, in MiB.
    """
    with actors_in(folder, seed) as actors:
        emulator = actors[0].emulator
        before, over = len(emulator.requests()), threading.Event()
        with ThreadPoolExecutor(len(actors)) as pool:
            working = [pool.submit(_work, actor, over) for actor in actors]
            try:
                _inject(actors, working, seconds, random.Random(seed))
            finally:
                emulator.clear_faults()
                over.set()
        for one in working:
            one.result()
        for actor in actors:
            actor.settle()
            actor.check_files()
        balance(actors, emulator.requests()[before:])
        status = Path(f"/proc/{emulator.process.pid}/status").read_text()
        memory = int(status.partition("VmRSS:")[2].split()[0]) / 1024
        return sum((actor.counts() for actor in actors), Counter()), emulator.stats()["faults"], memory


def balance(actors: list[Actor], listed: list[dict[str, Any]]) -> None:
    """Compare the actors' journals with the platform's list: each mutation once, with one outcome."""
    outcomes = {one["user_agent"]: one["outcome"] for one in listed}
    assert len(outcomes) == len(listed), "a mutation came twice"
    for mutation, known, happened in (entry for actor in actors for entry in actor.journal):
        outcome = outcomes.pop(mutation, "never came")
        assert (outcome == "done") is happened, f"{mutation}, {known}, was {outcome!r} on the platform"
    assert outcomes == {}, "the platform lists mutations that no actor sent"


def _work(actor: Actor, over: threading.Event) -> None:
    while not over.wait(PAUSE):
        if actor.step() == DOUBT:
            actor.settle()


def _inject(actors: list[Actor], working: list[Future[None]], seconds: float, chance: random.Random) -> None:
    emulator, deadline = actors[0].emulator, time.monotonic() + seconds
    while not any(one.done() for one in working):
        struck, written = sum(emulator.stats()["faults"].values()), sum(len(actor.journal) for actor in actors)
        if time.monotonic() > deadline and struck >= LEAST_FAULTS and written >= LEAST_MUTATIONS:
            return
        what = chance.choice(sorted(KINDS))
        wish: dict[str, Any] = {
            "delay": {"seconds": chance.uniform(0.05, 2), "when": chance.choice(["before", "after"])},
            "outage": {"seconds": chance.uniform(0.05, 1.5)},
            "status": {"status": chance.choice([429, 500, 502, 503, 504])},
        }.get(what, {})
        wish |= {"times": chance.randint(1, 3), "occurrence": chance.randint(1, 5)}
        emulator.fault(what, chance.choice(OPERATIONS), **wish)
        time.sleep(chance.expovariate(1 / FAULT_EVERY))


if __name__ == "__main__":
    given = options(__doc__, "--minutes", 10)
    with tempfile.TemporaryDirectory() as folder:
        mutations, faults, memory = soak(Path(folder), given.minutes * 60, given.seed)
    print(f"{given}: the books are balanced: {dict(mutations)}, {faults}, {memory:.0f} MiB")  # noqa: T201
