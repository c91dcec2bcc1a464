"""What the demo looks like on a terminal: a column of elapsed seconds, a column of names, what happened."""

from __future__ import annotations

import contextlib
import sys
import textwrap
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from scripts.processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.status import Status

STYLES = {
    "queued": "dim",
    "running": "bright_cyan",
    "deferred": "bright_magenta",
    "success": "bright_green",
    "failed": "bright_red",
}
NAME_WIDTH = 18
RECORD_WIDTH = 110  # characters


class Show:
    """Prints steps as they happen, plainly where the output is no terminal.

    :param record: the SVG file that `save` writes what was shown to; None for none.
    """

    def __init__(self, record: Path | None = None) -> None:
        width = RECORD_WIDTH if record else None
        self.console = Console(record=record is not None, highlight=False, width=width)
        self._record = record
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the show began."""
        return time.monotonic() - self._began

    def title(self, text: str) -> None:
        """Begin a part."""
        self.console.print()
        self._print(Text(text, style="bold"))

    def step(self, name: str, text: str | Text = "") -> None:
        """Say that something is done, and when."""
        self._print(Text.assemble(self._stamp(), (f"{name:<{NAME_WIDTH}} ", "bold"), text))

    def task(self, name: str, states: list[str]) -> None:
        """Say that a task has ended, and through which states it went."""
        self.step(name, trail(states))

    def block(self, lines: list[str], style: str = "") -> None:
        """Show lines that a program wrote, with a bar before each."""
        if self._record:
            lines = wrapped([anonymous(line) for line in lines], RECORD_WIDTH - 12)
        for line in lines:
            self._print(Text.assemble(" " * 10, ("| ", "dim"), (line, style)))

    def pairs(self, pairs: dict[str, str]) -> None:
        """Show names and their values, aligned."""
        width = max(len(name) for name in pairs)
        for name, value in pairs.items():
            self._print(Text.assemble(" " * 10, f"{name:<{width}}  ", (value, "blue")))

    def error(self, text: str) -> None:
        """Show what went wrong."""
        self._print(Text(text, style="red"))

    def note(self, text: str) -> None:
        """Show a line by itself, after an empty one."""
        self.console.print()
        self._print(Text(text))

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator[Status | None]:
        """Show a moving line while something goes on; nothing where the output is no terminal or is recorded."""
        if self._record or not self.console.is_terminal:
            yield None
            return
        with self.console.status(Text(text), spinner="dots") as status:
            yield status

    def save(self, title: str) -> None:
        """Write the recording, if one was asked for."""
        if self._record:
            self._record.parent.mkdir(parents=True, exist_ok=True)
            self.console.save_svg(str(self._record), title=title)

    def _stamp(self) -> tuple[str, str]:
        return f"{self.elapsed:6.1f} s  ", "dim"

    def _print(self, text: Text) -> None:
        if self._record:
            self.console.print(text, no_wrap=True, overflow="ellipsis")
        else:
            # Soft wrap leaves long lines to the terminal, so that a link can be clicked and copied whole.
            self.console.print(text, soft_wrap=True)


def anonymous(line: str) -> str:
    """Return a line without paths of the machine that a picture is made on."""
    return line.replace(str(ROOT), ".").replace(sys.base_prefix, "/usr")


def wrapped(lines: list[str], width: int) -> list[str]:
    """Return lines with those longer than `width` broken into several, unless they hold an address."""
    parts = [[line] if "://" in line else textwrap.wrap(line, width, drop_whitespace=False) for line in lines]
    return [part for line in parts for part in line or [""]]


def trail(states: list[str]) -> Text:
    """Return the states in their colours, with arrows between them."""
    return Text.assemble((" > ", "dim")).join(Text(state, style=STYLES.get(state, "")) for state in states)
