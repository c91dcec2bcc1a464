"""Make Airflow's database: the first time by Airflow itself, from then on as a copy, which saves four seconds a start.

The empty database is kept in the virtual environment, by Airflow's version, so that it goes when Airflow does. Where
the environment lies outside the checkout nothing is kept. A database that exists already is migrated as usual.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def template() -> Path | None:
    """Return where the empty database is kept, None where it can't be."""
    environment = Path(sys.prefix)
    return environment / f"airflow-{version('apache-airflow')}.db" if environment.is_relative_to(ROOT) else None


def main(database: Path) -> int:
    """Make or migrate the database; return the exit code."""
    kept = template()
    is_new = not database.exists()
    if is_new and kept and kept.exists():
        shutil.copyfile(kept, database)
        return 0
    code = subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=False).returncode
    if code == 0 and is_new and kept:
        # Two demos may do this at once: each writes a file of its own, and the rename is all or nothing.
        copy = kept.with_suffix(f".{os.getpid()}")
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)  # unlike a copy of the file it has what still lies in the write-ahead log
        copy.replace(kept)
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
