"""Kill an emulator under load with `kill -9`, again and again, and balance the books after each restart.

By hand: ``python -m tests.integration.emulator.endurance.kills --times 100``. The suite runs a few kills only.
"""

import random
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from airflow_provider_saagie.emulator import testing
from airflow_provider_saagie.emulator.states import ENDS
from tests.integration.emulator.endurance import actor as acting
from tests.integration.emulator.endurance.actor import Actor
from tests.support.waiting import wait_until

LEAST, MOST = 15, 250  # mutations between two kills, of all actors together


def kill_repeatedly(folder: Path, times: int, seed: int, most: int = MOST) -> Counter[str]:
    """Kill an emulator after a random number of mutations, restart it on its folder, and compare it with the books.

    :return: the number of mutations by what was known of them and whether they were done, and of other things.
    """
    chance, tally, lost = random.Random(seed), Counter[str](), set[str]()
    with acting.actors_in(folder, seed) as actors:
        for _ in range(times):
            load_until_killed(actors, chance.randint(LEAST, most))
            tally["processes left over"] += len(acting.processes_in(folder))
            assert "Traceback" not in (folder / "emulator.log").read_text()
            actors[0].emulator.stop()  # it is dead: this closes its pipes
            emulator = testing.start(folder)
            for actor in actors:
                actor.move_to(emulator)
            assert acting.processes_in(folder) == []
            for actor in actors:
                found = actor.instances()
                assert [one for one in found if acting.status_of(one) not in ENDS] == []
                reasons = {one["id"]: one["history"]["currentStatus"]["reason"] for one in found}
                lost |= {id_ for id_, reason in reasons.items() if reason == "UNEXPECTED_DELETION"}
                actor.settle()
        tally["files compared"] = sum(actor.check_files() for actor in actors)
        stored = list((folder / "data" / "artifacts").iterdir())
        assert tally["files compared"] == len(stored), "there is a file that no version needs"
    tally["instances lost"] = len(lost)
    return sum((actor.counts() for actor in actors), tally)


def load_until_killed(actors: list[Actor], mutations: int) -> None:
    """Let all actors work, kill the emulator meanwhile, and wait until they have noticed."""
    emulator = actors[0].emulator
    with ThreadPoolExecutor(len(actors)) as pool:
        enough = sum(len(actor.journal) for actor in actors) + mutations
        working = [pool.submit(_work, actor) for actor in actors]
        wait_until(
            lambda: sum(len(actor.journal) for actor in actors) >= enough or any(one.done() for one in working),
            limit=600,
        )
        emulator.process.kill()
        emulator.process.wait()
    for one in working:
        one.result()


def _work(actor: Actor) -> None:
    actor.patience = 0.0
    try:
        while actor.step() != acting.DOUBT:
            pass
    except acting.LostError:
        pass  # the emulator was killed between two mutations
    finally:
        del actor.patience


if __name__ == "__main__":
    given = acting.options(__doc__, "--times", 100)
    with tempfile.TemporaryDirectory() as folder:
        tally = kill_repeatedly(Path(folder), int(given.times), given.seed)
    print(f"{given}: the books are balanced after each kill: {dict(tally)}")  # noqa: T201, it is a command
