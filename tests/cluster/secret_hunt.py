"""Looks for secrets where none may be: in every log, and in every row of the metadata database."""

from __future__ import annotations

import base64
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import sql

from airflow_provider_saagie.client.session import Session

if TYPE_CHECKING:
    from tests.cluster.scene import Scene

# What Airflow itself keeps there: connections, encrypted; and Celery's results and messages are Airflow's own.
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name"


def hunt(scene: Scene, *earlier: str) -> list[str]:
    """Look for the password of the local Saagie, and for tokens, in all of a cluster's logs and tables.

    XComs, rendered templates, trigger rows and task states are tables.

    :param earlier: passwords that it had before.
    :return: where one was found.
    """
    secrets = {*_secrets(scene), *(password.encode() for password in earlier)}
    found = []
    for file in [*scene.folder.glob("logs/*.log"), *scene.folder.glob("airflow/logs/**/*.log")]:
        # The local Saagie says at its start what to put into a connection, where it has made the password itself.
        content = file.read_bytes()
        found += [str(file.relative_to(scene.folder)) for secret in secrets if secret in content]
    with closing(psycopg2.connect(scene.database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(TABLES)
        for (table,) in cursor.fetchall():
            cursor.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table)))
            rows = "\n".join(row[0] or "" for row in cursor.fetchall()).encode()
            found += [f"table {table}" for secret in secrets if secret in rows]
    return found


def _secrets(scene: Scene) -> list[bytes]:
    password = scene.stack.wishes.saagie_password.encode()
    with Session(scene.saagie.client.settings) as session:
        session.log_in()
        token = str(session._http.headers["Authorization"]).removeprefix("Bearer ")
    # Each token begins alike: what it says of its owner. What differs stands behind that.
    beginning = token.partition(".")[0][:24].encode()
    return [password, base64.b64encode(password), beginning]
