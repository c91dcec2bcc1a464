"""Loggers that keep their lines: Airflow's own go through a pipe to a supervisor that a test doesn't have."""

from __future__ import annotations

import logging


class Recorder(logging.Logger):
    """A logger of one waiter."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self.lines: list[str] = []
        self.addHandler(_ToList(self.lines))


class _ToList(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
