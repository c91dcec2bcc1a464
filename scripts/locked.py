"""How a program of this folder runs: alone in the folder of its stack, and with an exit code that says how it ended."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts import processes
from scripts.processes import StackError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scripts.show import Show

INTERRUPTED = 130  # a shell's code for a program that Ctrl-C has ended


@dataclass
class Program:
    """A program that runs.

    :param code: its exit code, once it has ended.
    """

    code: int = 0


@contextlib.contextmanager
def alone(show: Show, folder: Path) -> Iterator[Program]:
    """Work in a stack's folder while nobody else does; a block that fails is told of and left, and gives the exit code.

    :param show: where it is told what went wrong.
    :param folder: the stack's; the block stops what it has started there, whatever it raises.
    """
    program = Program()
    with processes.signals_raise():
        try:
            with processes.lock(folder / "lock"):
                yield program
        except KeyboardInterrupt:
            show.error("Interrupted; everything was stopped.")
            program.code = INTERRUPTED
        except StackError as error:
            show.error(str(error))
            program.code = 1
