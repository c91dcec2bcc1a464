"""`make down`: stop what `make up` started, whatever state it is in."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import psutil

from scripts import processes
from scripts.lasting import GRACE
from scripts.up import FOLDER

if TYPE_CHECKING:
    from pathlib import Path


def bring_down(folder: Path) -> None:
    """Stop the keeper of a stack that stays, which stops the rest, and sweep up what is left without one.

    :param folder: the stack's folder.
    """
    found = processes.marked(folder)
    if not found:
        print("Nothing is up.")
        return
    print("Stopping ...", flush=True)
    keepers = processes.keepers(folder)
    for keeper in keepers:
        with contextlib.suppress(psutil.NoSuchProcess):
            keeper.terminate()
    psutil.wait_procs(keepers, timeout=GRACE + 5)
    processes.sweep(folder)
    print(f"Stopped. Runs, connections and jobs are kept in {folder.name}/; remove that folder to begin afresh.")


def main() -> int:
    """Stop what is there, return the exit code."""
    bring_down(FOLDER)
    return 0


if __name__ == "__main__":
    sys.exit(main())
