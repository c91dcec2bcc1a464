"""Wait until PostgreSQL answers, make the database where it is missing, and have Airflow make or migrate its tables.

Arguments: the port, and the file with the password.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psycopg2

USER = "airflow"
PATIENCE = 60.0  # seconds


def connect(port: int, password: str) -> psycopg2.extensions.connection:
    """Return a connection to the server, once it takes any."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return psycopg2.connect(host="127.0.0.1", port=port, user=USER, password=password, dbname="postgres")
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def main(port: int, secret: Path) -> int:
    """Return the exit code of Airflow's own program."""
    with closing(connect(port, secret.read_text(encoding="utf-8"))) as connection:
        connection.autocommit = True  # a database can't be made in a transaction
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (USER,))
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {USER}")
    return subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
