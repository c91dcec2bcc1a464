"""What is to be struck, where, when and how: chosen by a seed, before anything runs."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

T = TypeVar("T")

# Failpoints, as tests/system/cluster/dags/chaos_points.py has them, with the ways in which a task strikes itself there.
POINTS = (
    "before the intent",
    "intent to runJob",
    "runJob to answer",
    "answer to store",
    "store to wait",
    "at the resume",
    "at the end",
)
THE_OPEN_WINDOW = "last look to runJob"
SELF = ("kill", "kill both", "term", "freeze", "freeze both")
# Moments that can be seen from outside, and the seconds after them within which is struck.
AIMS: dict[str, tuple[float, float]] = {
    "by the clock": (0.0, 45.0),  # after the start of the DAG run
    "the try runs": (0.0, 2.0),
    "runJob came in": (0.0, 0.5),
    "the id is stored": (0.0, 0.4),
    "it waits": (0.0, 20.0),
    "the instance ended": (0.0, 3.0),
    "it resumes": (0.0, 1.0),
}
AIMS_AT = {
    "triggerer": ("it waits", "the instance ended"),
    "worker": ("by the clock", "it waits", "runJob came in", "it resumes"),
    "saagie": ("by the clock", "it waits", "runJob came in", "the instance ended"),
}
OUTSIDE = ("kill", "kill supervisor", "kill both", "term", "freeze", "freeze both")
KINDS = ("deferred", "waiting", "mapped")
SHARED = ("shared_adopt", "shared_fail")
MACHINES = (
    # A deferred task can be hit in its triggerer only, and most tasks are deferred.
    ("triggerer", "kill"),
    ("triggerer", "kill"),
    ("triggerer", "kill"),
    ("triggerer", "term"),
    ("triggerer", "term"),
    ("triggerer", "freeze"),
    ("worker", "kill"),
    ("worker", "freeze"),
    ("saagie", "kill"),
    ("saagie", "freeze"),
)
EVENT_SECONDS = 1.0  # from an instance's end to its event, about: half a poll_interval of the DAGs


@dataclass(frozen=True)
class Strike:
    """One strike.

    :param target: "task", which is that of the case, or a machine: "triggerer", "worker", "saagie".
    :param how: the signal, and whom it hits.
    :param point: the failpoint; None where the clock decides.
    :param aim: what the clock starts with.
    :param delay: seconds after that.
    :param hold: seconds for which what is frozen stays so, or, where a retry is waited for, seconds after its start.
    :param until_retry: whether what is frozen is woken only when a retry has begun.
    :param which: which of two machines.
    """

    target: str
    how: str
    point: str | None = None
    aim: str | None = None
    delay: float = 0.0
    hold: float = 0.0
    until_retry: bool = False
    which: int = 1


@dataclass(frozen=True)
class Case:
    """One DAG run with a job of its own, and the strike that it gets.

    :param kind: the DAG, without its prefix.
    :param map_index: which task of it.
    :param clear_at: seconds after the run's start at which a user clears its task; None for never.
    :param clears_after: seconds after the strike at which a user does; None for never.
    :param clears_run: whether the user clears the whole run then, not this task.
    :param guest: who else does something to the job after the strike, one of `GUESTS`; None for nobody.
    :param scenario: what the case is one of.
    """

    number: int
    kind: str
    strike: Strike
    map_index: int = -1
    clear_at: float | None = None
    clears_after: float | None = None
    clears_run: bool = False
    guest: str | None = None
    scenario: str = "exclusive"

    @property
    def dag_id(self) -> str:
        """The DAG's id."""
        return f"chaos_{self.kind}"

    @property
    def run_id(self) -> str:
        """The run's id."""
        return f"case-{self.number:04}"


def plan(seed: int, kinds: Sequence[str] = KINDS) -> Iterator[Case]:
    """Choose cases, without an end: every second one has a failpoint, the others go by the clock.

    :param seed: what makes the choices repeatable.
    :param kinds: the DAGs to choose from, without their prefix.
    """
    dice = random.Random(seed)
    own = _mixed(dice, list(itertools.product(POINTS, SELF)))
    aims = _mixed(dice, list(itertools.product(AIMS, OUTSIDE)))
    machines = _mixed(dice, list(MACHINES))
    aims_at = {target: _mixed(dice, list(found)) for target, found in AIMS_AT.items()}
    deferred = [kind for kind in kinds if kind != "waiting"]
    for number in itertools.count(1):
        kind = dice.choice(kinds)
        if number % 2 == 0:
            point, how = next(own)
            strike = Strike("task", how, point, **_hold(dice, how))
        elif number % 6 == 1:
            target, how = next(machines)
            aim, which = next(aims_at[target]), dice.choice([1, 2])
            delay = _within(dice, aim)
            if target == "triggerer":
                kind = dice.choice(deferred)
                delay = min(delay, EVENT_SECONDS * dice.random()) if aim == "the instance ended" else delay
            strike = Strike(target, how, None, aim, delay, hold=_of_machine(dice, target), which=which)
        else:
            aim, how = next(aims)
            strike = Strike("task", how, None, aim, _within(dice, aim), **_hold(dice, how))
        yield Case(number, kind, strike, 0 if kind not in ("deferred", "waiting") else -1)


def clears(seed: int) -> Iterator[Case]:
    """Choose the same cases, and have a user clear each task at some time, without an end."""
    dice = random.Random(-seed)
    for case in plan(seed):
        yield replace(case, clear_at=round(dice.uniform(2, 45), 3), clears_run=dice.random() < 0.5)


def clears_of_the_dead(seed: int) -> Iterator[Case]:
    """Choose cases in which a user clears a task whose processes are gone or stand still, before Airflow notices."""
    dice = random.Random(seed)
    for number in itertools.count(1):
        how = ("kill both", "freeze both")[number % 2]
        strike = Strike("task", how, None, "it waits", round(dice.uniform(0, 3), 3), **_hold(dice, how))
        after = round(dice.uniform(0.5, 3), 3)
        yield Case(number, "waiting", strike, clears_after=after, clears_run=dice.random() < 0.5)


def open_window(seed: int) -> Iterator[Case]:
    """Choose cases that are all struck in the one window that the docs name as open, without an end.

    Of three, two stand still until a retry has begun, one wakes up before Airflow gives it up.
    """
    dice = random.Random(seed)
    for number in itertools.count(1):
        hold = {"hold": round(dice.uniform(4, 12), 3)}
        if number % 3:
            hold = {"hold": round(dice.uniform(0, 4), 3), "until_retry": True}
        strike = Strike("task", "freeze both", THE_OPEN_WINDOW, **hold)
        yield Case(number, dice.choice(("deferred", "waiting")), strike)


ONCE = ("deferred_once", "waiting_once")  # DAGs whose task has no retry
FREEZES = ("freeze both", "freeze supervisor", "freeze both", "freeze supervisor", "freeze")
FROZEN_JOB_SECONDS = 40  # so that what a retry has taken up still runs when the earlier try wakes up


def frozen(seed: int) -> Iterator[Case]:
    """Choose cases in which a task, its supervisor or both stand still, half of them without a retry."""
    dice = random.Random(seed)
    hows = _mixed(dice, list(FREEZES))
    points = _mixed(dice, [*POINTS[1:5]])
    for number in itertools.count(1):
        how = next(hows)
        kind = dice.choice(ONCE if number % 2 else KINDS)
        hold = {"hold": round(dice.uniform(0, 6), 3), "until_retry": True} if how != "freeze" else _hold(dice, how)
        if kind.startswith("waiting"):
            strike = Strike("task", how, None, "it waits", round(dice.uniform(0, 4), 3), **hold)
        else:
            strike = Strike("task", how, next(points), **hold)
        yield Case(number, kind, strike, 0 if kind == "mapped" else -1)


GUESTS = ("person", "schedule", "deletes")


def guests(seed: int) -> Iterator[Case]:
    """Choose cases in which somebody else starts the job too, or deletes the task's instance, without an end."""
    dice = random.Random(seed)
    hows = ("kill", "kill both", "freeze", "freeze both")
    points = ("intent to runJob", "runJob to answer", None)
    choices = [one for one in itertools.product(GUESTS, points, hows) if one[:2] != ("deletes", "intent to runJob")]
    mixed = _mixed(dice, choices)
    for number in itertools.count(1):
        guest, point, how = next(mixed)
        if point:
            case = Case(number, dice.choice(("deferred", "waiting")), Strike("task", how, point, **_hold(dice, how)))
        else:
            delay = round(dice.uniform(0, 6), 3)
            case = Case(number, "waiting", Strike("task", how, None, "it waits", delay, **_hold(dice, how)))
        yield replace(case, guest=guest)


PEERS = ("mixin", "dbt_waiting", "dbt_deferred")
POINTS_OF_PEERS = ("runJob to answer", "answer to store", "while it waits")


def peers(seed: int, kinds: Sequence[str] = PEERS) -> Iterator[Case]:
    """Choose cases for others' operators: each point with each signal, without an end."""
    dice = random.Random(seed)
    number = 0
    while True:
        for kind, point, how in itertools.product(kinds, POINTS_OF_PEERS, ("kill", "kill both", "term", "freeze both")):
            if point == "while it waits" and kind.endswith("deferred"):
                if how == "kill both":
                    continue  # it waits in a triggerer, which has no supervisor
                delay, hold = round(dice.uniform(3, 12), 3), _of_machine(dice, "triggerer")
                signal, which = how.removesuffix(" both"), dice.choice([1, 2])
                strike = Strike("triggerer", signal, None, "it waits", delay, hold=hold, which=which)
            elif point == "while it waits":
                strike = Strike("task", how, None, "runJob came in", round(dice.uniform(3, 12), 3), **_hold(dice, how))
            else:
                strike = Strike("task", how, point, **_hold(dice, how))
            number += 1
            yield Case(number, kind, strike)


SCENARIOS: dict[str, Callable[[int], Iterator[Case]]] = {
    "exclusive": plan,
    "clears": clears,
    "clears-of-the-dead": clears_of_the_dead,
    "shared": lambda seed: plan(seed, SHARED),
    "guests": guests,
    "frozen": frozen,
    "open-window": open_window,
    "peers": peers,
}


LONGER = frozenset({"frozen", "clears-of-the-dead"})  # scenarios whose instances last longer


def by_turns(names: Sequence[str], seed: int) -> Iterator[Case]:
    """Choose cases of several scenarios, one of each after the other, without an end."""
    scenarios = {name: SCENARIOS[name](seed) for name in names}
    for number, name in enumerate(itertools.cycle(names), 1):
        yield replace(next(scenarios[name]), number=number, scenario=name)


def _mixed(dice: random.Random, choices: list[T]) -> Iterator[T]:
    """Give all choices in an order of chance, then all in another, and so on."""
    while True:
        yield from dice.sample(choices, len(choices))


def _within(dice: random.Random, aim: str) -> float:
    return round(dice.uniform(*AIMS[aim]), 3)


def _hold(dice: random.Random, how: str) -> dict[str, Any]:
    if how == "freeze both":  # Airflow hears nothing any more, and begins a retry
        return {"hold": round(dice.uniform(0, 6), 3), "until_retry": True}
    if how == "freeze":  # Airflow goes on hearing of the task
        return {"hold": round(dice.uniform(1, 30), 3)}
    return {}


def _of_machine(dice: random.Random, target: str) -> float:
    return round(dice.uniform(3, 9) if target == "saagie" else dice.uniform(5, 35), 3)
