"""What server and contender are told. All times are of the machine's monotonic clock, which they share.

::

    began ──starts──> +interval ──settling──> cpu_from ──CPU──> cpu_until ──ends, loop lag──> give_up
"""

from __future__ import annotations

import json
import math
import random
import time
from dataclasses import asdict, dataclass, field

CONN_ID = "polled"
"""The connection's id in Airflow, for each provider."""
INTERVAL = 5.0
ENDING = 1_000
"""How many runs end at most, for the delay between an end and its event."""
PATIENCE = 1.0
"""Seconds beyond twice the interval for which the last events are waited for."""
LEAD = 0.3
"""Seconds in which contender and server can both have read the plan before it begins."""
YOUNG_LIFE = 5.0


@dataclass(frozen=True)
class Address:
    """Where the server is.

    :param url: its address.
    :param authority: path of the certificate that it is to be trusted by.
    """

    url: str
    authority: str

    @property
    def host(self) -> str:
        """Host and port."""
        return self.url.removeprefix("https://")


@dataclass(frozen=True)
class Plan:
    """One measurement.

    :param count: how many runs are waited for; they are numbered.
    :param poll_interval: seconds between two looks.
    :param began: when the first wait begins.
    :param spread: seconds over which the others follow, evenly, as they do where a triggerer takes them up.
    :param cpu_from: when the time begins in which CPU and requests are counted.
    :param cpu_until: when it ends, and runs begin to end.
    :param give_up: when events are no longer waited for.
    :param ends: when a run is over, by its number; the others never are.
    :param age: seconds for which the runs have been running when the first wait begins.
    :param young: whether each run has only just started when its wait begins.
    """

    count: int
    poll_interval: float
    began: float
    spread: float
    cpu_from: float
    cpu_until: float
    give_up: float
    ends: dict[int, float] = field(default_factory=dict)
    age: float = 3600.0
    young: bool = False

    def start_of(self, n: int) -> float:
        """Give the time at which the wait for a run begins."""
        return self.began + self.spread * n / self.count

    def as_text(self) -> str:
        """Write it as a line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Plan:
        """Read what :meth:`as_text` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "ends": {int(n): at for n, at in fields["ends"].items()}})


def instance_id(n: int) -> str:
    """Give Saagie's id of a run."""
    return f"00000000-0000-4000-8000-{n:012d}"


def make_plan(count: int, *, rounds: int, settling: float, seed: int) -> Plan:
    """Plan a measurement of runs that have run for an hour.

    :param count: how many.
    :param rounds: for how many intervals CPU and requests are counted.
    :param settling: seconds between the start of the last wait and that time.
    :param seed: makes the same runs end in the same order.
    """
    chance = random.Random(seed)
    cpu_from = between_ticks(time.monotonic() + LEAD + INTERVAL + settling)
    began = cpu_from - settling - INTERVAL
    cpu_until = cpu_from + rounds * INTERVAL
    ending = chance.sample(range(count), min(count, ENDING))
    ends = {n: cpu_until + chance.random() * INTERVAL for n in ending}
    give_up = cpu_until + 3 * INTERVAL + PATIENCE
    return Plan(count, INTERVAL, began, INTERVAL, cpu_from, cpu_until, give_up, ends)


def make_plan_of_young(count: int, *, poll_interval: float) -> Plan:
    """Plan a measurement of runs that last five seconds each, waited for from their start.

    :param count: how many.
    :param poll_interval: seconds between two looks at most.
    """
    began = time.monotonic() + LEAD
    until = began + 2 * YOUNG_LIFE
    plan = Plan(count, poll_interval, began, YOUNG_LIFE, began, until, until + poll_interval, age=0.0, young=True)
    plan.ends.update({n: plan.start_of(n) + YOUNG_LIFE for n in range(count)})
    return plan


def between_ticks(moment: float) -> float:
    """Give the next time that is far from the multiples of half an interval, at which ours asks."""
    step = INTERVAL / 2
    return (math.ceil(moment / step) + 0.5) * step
