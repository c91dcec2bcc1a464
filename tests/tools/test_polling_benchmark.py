"""The polling benchmark's own parts: what its figures rest on. Small, over real https, in processes of their own."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from benchmarks.polling.contender import waited
from benchmarks.polling.measure import CONTENDERS, measure
from benchmarks.polling.plan import Plan
from benchmarks.polling.plot import LABEL_PITCH, draw

RUNS, INTERVAL = 120, 1.0


def small_plan() -> Plan:
    began = time.monotonic() + 0.2
    cpu_from, cpu_until = began + 2.5, began + 4.5
    ends = {n: cpu_until + 0.1 * n for n in range(8)}
    return Plan(RUNS, INTERVAL, began, 0.5, cpu_from, cpu_until, cpu_until + 30, ends)


@pytest.mark.long
@pytest.mark.parametrize("name", ["ours", "bare"])
def test_each_look_and_each_end_is_counted(name: str):
    found = measure(CONTENDERS[name], small_plan)
    assert (found.missed, found.failed, found.connections) == (0, 0, 0)
    assert found.delay_p50_ms > 0
    assert found.cpu_ms > 0
    assert 1 < found.requests < RUNS / 10


def test_a_wait_in_a_thread_that_fails_is_told_and_not_waited_for():
    def fails(n: int, poll_interval: float) -> None:
        raise RuntimeError(f"{n} is lost")

    with pytest.raises(RuntimeError, match="7 is lost"):
        asyncio.run(asyncio.wait_for(waited(fails, 7, 1.0), 10))


def test_a_plan_stays_the_same_on_its_way_to_server_and_contender():
    plan = small_plan()
    assert Plan.from_text(plan.as_text()) == plan


def test_labels_of_lines_that_end_together_do_not_cover_each_other():
    lines = {f"way {n}": [(100, 5.0 + n / 10), (1_000, 50.0 + n / 10)] for n in range(5)}
    texts = [node for node in ET.fromstring(draw(lines, 5_000)).iter() if node.tag.endswith("text")]
    heights = sorted(float(node.attrib["y"]) for node in texts if node.text in lines)
    assert len(heights) == len(lines)
    assert all(below - above >= LABEL_PITCH - 0.2 for above, below in pairwise(heights))
