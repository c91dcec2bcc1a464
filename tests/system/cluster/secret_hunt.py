"""Looks for secrets where none may be: in every log, and in every row of the metadata database."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import psycopg2
from psycopg2 import sql

from airflow_provider_saagie.client.session import Session
from tests.system.cluster.scene import Scene

# All of them: that of the connections too, which Airflow encrypts.
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name"


def hunt(scene: Scene, *earlier: str) -> list[str]:
    """Look for the password of the local Saagie, and for tokens, in all of a cluster's logs and tables.

    XComs, rendered templates, trigger rows and task states are tables.

    :param earlier: passwords that it had before.
    :return: where one was found.
    """
    secrets = {*_secrets(scene), *(password.encode() for password in earlier)}
    # A local Saagie whose password lies in its folder says at its start what to put into a connection.
    found = in_logs(scene.folder, secrets, but="saagie.log" if scene.stack.wishes.saagie_keeps_password else "")
    with closing(psycopg2.connect(scene.database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(TABLES)
        for (table,) in cursor.fetchall():
            cursor.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table)))
            rows = "\n".join(row[0] or "" for row in cursor.fetchall()).encode()
            found += [f"table {table}" for secret in secrets if secret in rows]
    return found


def in_logs(folder: Path, secrets: Iterable[bytes], *, but: str = "") -> list[str]:
    """Look for secrets in the logs of a cluster's programs and of its tasks.

    :param folder: of the cluster.
    :param but: the name of a log in which they may be.
    :return: the logs in which one was found, as paths in the folder.
    """
    logs = [*folder.glob("logs/*.log"), *folder.glob("airflow/logs/**/*.log")]
    contents = {str(file.relative_to(folder)): file.read_bytes() for file in logs if file.name != but}
    return [name for name, content in contents.items() if any(secret in content for secret in secrets)]


def _secrets(scene: Scene) -> list[bytes]:
    password = scene.stack.wishes.saagie_password.encode()
    with Session(scene.saagie.client.settings) as session:
        session.log_in()
        token = str(session._http.headers["Authorization"]).removeprefix("Bearer ")
    # Each token begins alike: what it says of its owner. What differs stands behind that.
    beginning = token.partition(".")[0][:24].encode()
    return [password, base64.b64encode(password), beginning]
