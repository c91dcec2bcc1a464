"""Kill an emulator under load with `kill -9`, again and again, and balance the books after each restart.

By hand: ``python -m tests.integration.emulator.endurance.kills --times 100``. The suite runs a few kills only.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_saagie.emulator import testing
from airflow_provider_saagie.emulator.states import ENDS
from tests.integration.emulator.endurance.actor import Actor
from tests.integration.emulator.endurance.books import all_instances, processes_in, status_of
from tests.integration.emulator.endurance.platform import LostError, Outcome, Platform
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.testing import Emulator

ACTORS = 4
LEAST, MOST = 15, 250  # mutations between two kills, of all actors together


@dataclass
class Tally:
    """What happened.

    :param mutations: their number by what was known of them and whether they were done.
    :param left_over: processes of jobs that were still there after a kill.
    :param lost: ids of the instances that a restart ended.
    :param files: artifacts that were compared at the end.
    """

    mutations: Counter[str] = field(default_factory=Counter)
    left_over: int = 0
    lost: set[str] = field(default_factory=set)
    files: int = 0


def kill_repeatedly(folder: Path, times: int, seed: int, most: int = MOST) -> Tally:
    """Kill an emulator after a random number of mutations, restart it on its folder, and compare it with the books."""
    chance, tally = random.Random(seed), Tally()
    emulator = testing.start(folder)
    actors = [Actor(emulator, f"actor {number}", seed * 100 + number) for number in range(ACTORS)]
    try:
        for _ in range(times):
            load_until_killed(emulator, actors, chance.randint(LEAST, most))
            tally.left_over += len(processes_in(folder / "data"))
            emulator = restart(folder, actors, tally)
        tally.files = sum(actor.check_files() for actor in actors)
        stored = list((folder / "data" / "artifacts").iterdir())
        assert tally.files == len(stored), "there is a file that no version needs"
    finally:
        end(emulator, folder)
        for actor in actors:
            actor.platform.close()
    assert processes_in(folder / "data") == []
    tally.mutations = sum((actor.counts() for actor in actors), Counter())
    return tally


def load_until_killed(emulator: Emulator, actors: list[Actor], mutations: int) -> None:
    """Let all actors work, kill the emulator meanwhile, and wait until they have noticed."""
    with ThreadPoolExecutor(len(actors)) as pool:
        enough = _written(actors) + mutations
        working = [pool.submit(_work, actor) for actor in actors]
        wait_until(lambda: _written(actors) >= enough or any(one.done() for one in working), limit=600)
        emulator.process.kill()
        emulator.process.wait()
    for one in working:
        one.result()


def restart(folder: Path, actors: list[Actor], tally: Tally) -> Emulator:
    """Start an emulator on the folder of a killed one and check what it made of it."""
    assert "Traceback" not in (folder / "emulator.log").read_text()
    emulator = testing.start(folder)
    try:
        assert processes_in(folder / "data") == [], "processes were left over"
        for actor in actors:
            actor.platform.emulator.stop()  # it is dead: this closes its pipes
            actor.platform.emulator = emulator
            found = all_instances(actor.platform, actor.project_id)
            assert [one for one in found if status_of(one) not in ENDS] == []
            lost = (one for one in found if one["history"]["currentStatus"]["reason"] == "UNEXPECTED_DELETION")
            tally.lost |= {one["id"] for one in lost}
            actor.settle()
    except BaseException:
        emulator.stop()
        raise
    return emulator


def end(emulator: Emulator, folder: Path) -> None:
    """Stop an emulator whose log has to have no traceback."""
    emulator.stop()
    assert "Traceback" not in (folder / "emulator.log").read_text()


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
    with tempfile.TemporaryDirectory() as folder:
        tally = kill_repeatedly(Path(folder), given.times, given.seed)
    tally.lost = {f"{len(tally.lost)} instances"}
    print(f"{given}: the books are balanced after each kill: {tally}")  # noqa: T201, it is a command


if __name__ == "__main__":
    main()
