"""`make up`: a local Saagie and Airflow that stay, to click around in."""

from __future__ import annotations

import sys

from scripts import lasting, locked
from scripts.processes import ROOT
from scripts.show import Show

FOLDER = ROOT / ".up"
PARALLELISM = 4


def main() -> int:
    """Bring both up, say where they are, return the exit code."""
    show = Show()
    with locked.alone(show, FOLDER) as program:
        state = lasting.bring_up(show, FOLDER, "a local Saagie and Airflow", parallelism=PARALLELISM)
    if program.code == 0:
        show.title("Both are up")
        lasting.tell(show, FOLDER, state)
        show.note("`make down` stops them.")
    return program.code


if __name__ == "__main__":
    sys.exit(main())
