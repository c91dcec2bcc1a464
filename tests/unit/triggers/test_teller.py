"""Lines come in their order, one thread at a time, and none into the log of somebody who has left."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

from airflow_provider_saagie.triggers.teller import Teller
from airflow_provider_saagie.triggers.waiter import Waiter
from tests.support.recording_logger import Recorder


class Gate:
    """A log of many, which holds its first line until it is let go."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.at_once = self.most_at_once = 0
        self.reached, self.go_on = threading.Event(), threading.Event()

    def log(self, level: int, event: Any, *args: Any) -> None:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        self.reached.set()
        assert self.go_on.wait(10)
        self.lines.append(event % args)
        self.at_once -= 1


async def _told_while_the_first_line_is_held(*, leaves: bool) -> Gate:
    gate, teller = Gate(), Teller()
    first, second = (Waiter(instance_id=str(n), log=gate, teller=teller) for n in (1, 2))
    for n in range(2):  # also in one turn of the loop they are one thread's
        first.say(logging.INFO, "line %d", 2 * n)
    assert await asyncio.to_thread(gate.reached.wait, 10)
    for n in (1, *range(3, 20)):
        (first, second)[n % 2].say(logging.INFO, "line %d", n)
        await asyncio.sleep(0.001)
    assert second.newest_line
    assert not second.newest_line.done()
    second.left = leaves
    gate.go_on.set()
    await teller.told([(first, logging.INFO, "100 % done")])
    assert second.newest_line.done()
    await teller.close()
    return gate


def test_lines_come_in_their_order_one_at_a_time() -> None:
    gate = asyncio.run(_told_while_the_first_line_is_held(leaves=False))
    assert gate.lines == [*(f"line {n}" for n in (0, 2, 1, *range(3, 20))), "100 % done"]
    assert gate.most_at_once == 1


def test_who_has_left_hears_no_more() -> None:
    gate = asyncio.run(_told_while_the_first_line_is_held(leaves=True))
    assert gate.lines == [*(f"line {n}" for n in range(0, 20, 2)), "100 % done"]


def test_what_a_stop_has_to_say_is_told_in_its_order_also_where_the_watcher_breaks_meanwhile() -> None:
    async def told() -> list[str]:
        log, teller = Recorder(), Teller()
        one, left = (Waiter(instance_id=str(n), log=log, teller=teller) for n in (1, 2))
        one.say(logging.INFO, "Stopping it.")
        left.say(logging.INFO, "Saagie is away.")
        await teller.close()
        left.left = True
        await teller.told([(one, logging.INFO, "Saagie was asked to stop it.")])
        return log.lines

    assert asyncio.run(told()) == ["Stopping it.", "Saagie was asked to stop it."]
