"""`make down`: stop what `make up` started, whatever state it is in."""

from __future__ import annotations

import contextlib
import sys

import psutil

from scripts import processes
from scripts.up import FOLDER, GRACE


def main() -> int:
    """Stop the keeper, which stops the rest, and sweep up what is left without one."""
    found = processes.marked(FOLDER)
    if not found:
        print("Nothing is up.")
        return 0
    print("Stopping ...", flush=True)
    keepers = processes.keepers(FOLDER)
    for keeper in keepers:
        with contextlib.suppress(psutil.NoSuchProcess):
            keeper.terminate()
    psutil.wait_procs(keepers, timeout=GRACE + 5)
    processes.sweep(FOLDER)
    print(f"Stopped. Runs, connections and jobs are kept in {FOLDER.name}/; remove that folder to begin afresh.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
