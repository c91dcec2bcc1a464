"""Works on an emulator while faults strike, and balances the books at the end: ours with the platform's.

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

from airflow_provider_saagie.emulator.faults import KINDS
from tests.integration.emulator.endurance.actor import Actor
from tests.integration.emulator.endurance.books import processes_in
from tests.integration.emulator.endurance.platform import Outcome
from tests.support.emulator_process import running_emulator

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.testing import Emulator

ACTORS = 4
PAUSE = 0.05  # seconds between an actor's mutations
FAULT_EVERY = 0.7  # seconds, on average
OPERATIONS = ("*", "login", "artifact", "runJob", "createJob", "addJobVersion", "stopJobInstance", "deleteJobInstances")


@dataclass
class Result:
    """What happened.

    :param mutations: how many there were, by what was known of them and whether they were done.
    :param faults: how many faults struck, by kind.
    :param memory: what the emulator's process held at the end, in MiB.
    """

    mutations: Counter[str]
    faults: dict[str, int]
    memory: float

    def __str__(self) -> str:
        """Write it in a line."""
        struck = ", ".join(f"{what} {count}" for what, count in sorted(self.faults.items()))
        return f"{self.mutations.total()} mutations ({dict(self.mutations)}), faults: {struck}; {self.memory:.0f} MiB"


def soak(data: Path, seconds: float, seed: int) -> Result:
    """Work while faults strike, and compare everybody's books.

    :param seconds: for how long.
    :param seed: what makes the choices repeatable.
    :return: what happened.
    """
    with running_emulator(data) as emulator:
        actors = [Actor(emulator, f"actor {number}", seed * 100 + number) for number in range(ACTORS)]
        before = emulator.requests()
        over = threading.Event()
        with ThreadPoolExecutor(len(actors)) as pool:
            working = [pool.submit(_work, actor, over) for actor in actors]
            try:
                _strike(emulator, seconds, random.Random(seed), lambda: any(one.done() for one in working))
            finally:
                emulator.clear_faults()
                over.set()
        for one in working:
            one.result()
        emulator.clear_faults()
        for actor in actors:
            actor.settle()
            actor.check_files()
        balance(actors, emulator.requests()[len(before) :])
        result = Result(
            sum((actor.counts() for actor in actors), Counter()), emulator.stats()["faults"], _memory(emulator)
        )
        for actor in actors:
            actor.platform.close()
    assert processes_in(data) == []
    assert "Traceback" not in data.with_name(data.name + ".stderr").read_text()
    return result


def balance(actors: list[Actor], listed: list[dict[str, Any]]) -> None:
    """Compare the actors' journals with what the platform lists: each mutation once, with one outcome."""
    outcomes = {one["user_agent"]: one["outcome"] for one in listed}
    assert len(outcomes) == len(listed), "a mutation came twice"
    for actor in actors:
        for entry in actor.journal:
            outcome = outcomes.pop(entry.agent, "never came")
            assert (outcome == "done") is entry.happened, f"{entry} was {outcome!r} on the platform"
    assert outcomes == {}, "the platform lists what nobody sent"


def _work(actor: Actor, over: threading.Event) -> None:
    while not over.wait(PAUSE):
        if actor.step() is Outcome.DOUBT:
            actor.settle()


def _strike(emulator: Emulator, seconds: float, chance: random.Random, anybody_left: Any) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not anybody_left():
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


def _memory(emulator: Emulator) -> float:
    status = Path(f"/proc/{emulator.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def main() -> None:
    """Run it by hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    given = parser.parse_args()
    print(f"{given.minutes:g} minutes, seed {given.seed}", flush=True)  # noqa: T201, it is a command
    with tempfile.TemporaryDirectory() as folder:
        result = soak(Path(folder) / "data", given.minutes * 60, given.seed)
    print(f"books balanced: {result}")  # noqa: T201, it is a command


if __name__ == "__main__":
    main()
