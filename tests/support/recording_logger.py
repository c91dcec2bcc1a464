"""Loggers that keep their lines: Airflow's own write to a supervisor that a test doesn't have."""

from __future__ import annotations

import asyncio
import logging
import threading


class RecordingLogger(logging.Logger):
    """A waiter's logger; `threads` has the thread of each line."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self.lines: list[str] = []
        self.threads: list[int] = []

    def handle(self, record: logging.LogRecord) -> None:
        self.threads.append(threading.get_ident())
        self.lines.append(record.getMessage())


class BrokenLogger(RecordingLogger):
    """A log that accepts no line."""

    def handle(self, record: logging.LogRecord) -> None:
        raise OSError("the pipe is closed")


class BlockedLogger(RecordingLogger):
    """A log that blocks its writer until the test releases it."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.at_once = self.most_at_once = 0

    def handle(self, record: logging.LogRecord) -> None:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        self.reached.set()
        self.go_on.wait()
        super().handle(record)
        self.at_once -= 1

    async def is_reached(self) -> bool:
        return await asyncio.to_thread(self.reached.wait, 60)
