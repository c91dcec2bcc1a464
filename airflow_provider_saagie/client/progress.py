"""What a long transfer shows of itself: lines in a log, a bar in a terminal.

A progress is a function: told what is done, with which file and of how many bytes (None: not known), it gives a context
whose value is called with the number of bytes of each piece. A session's ``progress`` is one of those here, or a
caller's own.
"""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

__all__ = ["CountedFile", "Progress", "bar", "lines", "shown", "silent"]

Advance: TypeAlias = Callable[[int], None]
Progress: TypeAlias = Callable[[str, str, int | None], AbstractContextManager[Advance]]

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BEFORE_BAR = 1.0
MIB = 1024 * 1024

log = logging.getLogger(__name__)


@contextmanager
def silent(what: str, name: str, total: int | None) -> Iterator[Advance]:  # noqa: ARG001 - the signature of a Progress
    """Show nothing."""
    yield lambda _: None


@contextmanager
def shown(what: str, name: str, total: int | None) -> Iterator[Advance]:
    """Show a bar where stderr is a terminal, else lines in the log; see :func:`bar` and :func:`lines`."""
    with (bar if _has_terminal() else lines)(what, name, total) as advance:
        yield advance


@contextmanager
def lines(what: str, name: str, total: int | None, *, every: float = SECONDS_BETWEEN_LINES) -> Iterator[Advance]:
    """Log a line now and then: how much is done, of how much, how quickly. A transfer that is quick logs nothing.

    :param what: what is done, such as ``"Downloading"``.
    :param name: the file's name.
    :param total: the file's size in bytes, where it is known.
    :param every: seconds from one line to the next.
    """
    began = last_line = time.monotonic()
    done = 0

    def advance(size: int) -> None:
        nonlocal done, last_line
        done += size
        now = time.monotonic()
        if now - last_line >= every:
            last_line = now
            log.info("%s %r: %s.", what, name, _so_far(done, total, now - began))

    yield advance
    seconds = time.monotonic() - began
    if seconds >= every:  # not where it broke off: the error says that
        log.info("%s %r: done, %.1f MiB in %.0f s.", what, name, done / MIB, seconds)


@contextmanager
def bar(what: str, name: str, total: int | None, *, after: float = SECONDS_BEFORE_BAR) -> Iterator[Advance]:
    """Draw a bar on stderr, by rich, which Airflow brings. A transfer that is quick draws none.

    :param what: what is done, such as ``"Downloading"``.
    :param name: the file's name.
    :param total: the file's size in bytes, where it is known.
    :param after: seconds until the bar appears.
    """
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}", markup=False),
        rich.BarColumn(),
        rich.DownloadColumn(binary_units=True),
        rich.TransferSpeedColumn(),
        rich.TimeRemainingColumn(),
    )
    # Else whatever the caller prints meanwhile would go to stderr too.
    drawn = rich.Progress(*columns, console=Console(stderr=True), redirect_stdout=False)
    task = drawn.add_task(f"{what} {name!r}", total=total)
    began = time.monotonic()
    with ExitStack() as until_end:

        def advance(size: int) -> None:
            drawn.advance(task, size)
            if not drawn.live.is_started and time.monotonic() - began >= after:
                until_end.enter_context(drawn)

        yield advance


class CountedFile(io.FileIO):
    """A file that is read, and tells how much of it was.

    :param path: the file.
    :param advance: called with the number of bytes of each piece.
    """

    def __init__(self, path: Path, advance: Advance) -> None:
        super().__init__(path, "rb")
        self._advance = advance

    def read(self, size: int | None = -1) -> bytes:
        """Read up to so many bytes."""
        piece = super().read(-1 if size is None else size)
        self._advance(len(piece))
        return piece


def _has_terminal() -> bool:
    """Say whether stderr is a terminal that rich can draw a bar in."""
    stderr = sys.stderr
    if stderr is None or not getattr(stderr, "isatty", lambda: False)():
        return False
    try:
        from rich.console import Console
    except ImportError:
        return False
    return not Console(stderr=True).is_dumb_terminal


def _so_far(done: int, total: int | None, seconds: float) -> str:
    rate = f"{done / MIB / seconds:.1f} MiB/s"
    if not total:
        return f"{done / MIB:.1f} MiB so far, {rate}"
    return f"{done / MIB:.1f} of {total / MIB:.1f} MiB ({100 * done / total:.0f} %), {rate}"
