"""Kills an emulator under load with `kill -9`, again and again, and balances the books after each restart.

By hand: ``python -m tests.integration.emulator.endurance.kills --times 100``. The suite runs a few kills only.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_saagie.emulator.states import ENDS
from tests.integration.emulator.endurance.actor import Actor
from tests.integration.emulator.endurance.books import all_instances, processes_in, reason_of, status_of
from tests.integration.emulator.endurance.platform import LostError, Outcome, Platform
from tests.support.emulator_process import Emulator, start_emulator

ACTORS = 4
SHORTEST, LONGEST = 0.2, 2.5  # seconds of load before a kill
LEAST = 15  # mutations before a kill, of all actors together


@dataclass
class Tally:
    """What happened.

    :param mutations: how many there were, by what was known of them and whether they were done.
    :param left_over: processes of jobs that were still there after a kill.
    :param lost: ids of the instances that a restart ended.
    :param files: artifacts that were compared at the end.
    """

    mutations: Counter[str] = field(default_factory=Counter)
    left_over: int = 0
    lost: set[str] = field(default_factory=set)
    files: int = 0

    def __str__(self) -> str:
        """Write it in a line."""
        return (
            f"{self.mutations.total()} mutations ({dict(self.mutations)}), {self.left_over} processes left over and"
            f" ended, {len(self.lost)} instances FAILED with UNEXPECTED_DELETION, {self.files} files compared"
        )


def kill_repeatedly(data: Path, times: int, seed: int, longest: float = LONGEST) -> Tally:
    """Kill an emulator at random moments, restart it on the same folder, and compare what is there with the books.

    :param times: how often.
    :param longest: at most so many seconds of load are before a kill.
    :param seed: what makes the choices repeatable.
    :return: what happened.
    """
    moments, tally = random.Random(seed), Tally()
    emulator = start_emulator(data)
    actors = [Actor(emulator, f"actor {number}", seed * 100 + number) for number in range(ACTORS)]
    try:
        for _ in range(times):
            load_until_killed(emulator, actors, moments.uniform(SHORTEST, longest))
            emulator.stop()  # it is dead: this closes its pipe
            tally.left_over += len(processes_in(data))
            emulator = restart(data, actors, tally)
        tally.files = sum(actor.check_files() for actor in actors)
        assert tally.files == len(list((data / "artifacts").iterdir())), "a file is there that no version needs"
    finally:
        emulator.stop()
        for actor in actors:
            actor.platform.close()
    assert processes_in(data) == []
    assert "Traceback" not in data.with_name(data.name + ".stderr").read_text()
    tally.mutations = sum((actor.counts() for actor in actors), Counter())
    return tally


def load_until_killed(emulator: Emulator, actors: list[Actor], seconds: float) -> None:
    """Let all actors work, kill the emulator in the midst of it, and wait until they have noticed."""
    with ThreadPoolExecutor(len(actors)) as pool:
        enough = _written(actors) + LEAST
        working = [pool.submit(_work, actor) for actor in actors]
        time.sleep(seconds)
        while _written(actors) < enough and not any(one.done() for one in working):
            time.sleep(0.01)  # the machine is busy
        emulator.process.kill()
        emulator.process.wait()
    for one in working:
        one.result()


def restart(data: Path, actors: list[Actor], tally: Tally) -> Emulator:
    """Start an emulator on the folder of one that was killed and check what it made of it."""
    emulator = start_emulator(data)
    try:
        assert processes_in(data) == [], "processes were left over"
        for actor in actors:
            actor.platform.emulator = emulator
            found = all_instances(actor.platform, actor.project_id)
            assert [one for one in found if status_of(one) not in ENDS] == []
            tally.lost |= {one["id"] for one in found if reason_of(one) == "UNEXPECTED_DELETION"}
            actor.settle()
    except BaseException:
        emulator.stop()
        raise
    return emulator


def _written(actors: list[Actor]) -> int:
    return sum(len(actor.journal) for actor in actors)


def _work(actor: Actor) -> None:
    actor.platform.patience = 0.0
    try:
        while actor.step() is not Outcome.DOUBT:
            pass
    except LostError:
        pass  # the emulator was killed between two mutations
    finally:
        actor.platform.patience = Platform.patience


def main() -> None:
    """Run it by hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    given = parser.parse_args()
    print(f"{given.times} kills, seed {given.seed}", flush=True)  # noqa: T201, it is a command
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tally = kill_repeatedly(Path(folder) / "data", given.times, given.seed)
    print(f"books balanced after each, in {time.monotonic() - began:.0f} s: {tally}")  # noqa: T201, it is a command


if __name__ == "__main__":
    main()
