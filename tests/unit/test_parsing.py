"""Parsing a DAG file of our tasks, as a DAG processor does, reaches for nothing outside the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A secrets backend is Airflow's own way to be told of each look-up.
BACKEND = """
from airflow.secrets.base_secrets import BaseSecretsBackend
seen = []
class Watching(BaseSecretsBackend):
    def get_conn_value(self, conn_id, *args, **more): seen.append(conn_id)
    def get_variable(self, key, *args, **more): seen.append(key)
    def get_config(self, key): return None
"""
PARSE = """
import json, sys
reached = []
NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen")
sys.addaudithook(lambda event, args: reached.append([event, repr(args[1:])]) if event in NETWORK else None)
from airflow.serialization.serialized_objects import DagSerialization
del reached[:]  # what Airflow did as it started is its own affair
from benchmarks import parsed_dag
tasks = len(DagSerialization.to_dict(parsed_dag.dag)["dag"]["tasks"])
import watching_backend
parsed = [list(reached), list(watching_backend.seen)]
{after}
print(json.dumps([tasks, parsed, [reached, watching_backend.seen]]))
"""
# The same watch sees what a task does when it runs: a watch that sees nothing would prove nothing.
RUN = """
from airflow_provider_saagie.hooks.saagie import SaagieHook
try:
    SaagieHook("looked_up").test_connection()
except Exception:
    pass
import os
os.environ["AIRFLOW_CONN_THERE"] = json.dumps({"conn_type": "saagie", "host": "http://127.0.0.1:9", "login": "l",
    "password": "password", "extra": {"realm": "local", "platform_id": 1}})
assert not SaagieHook("there").test_connection()[0]
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("parsing")
    (folder / "watching_backend.py").write_text(BACKEND)
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}:{folder}",
        "AIRFLOW_HOME": str(folder / "home"),
        "AIRFLOW__SECRETS__BACKEND": "watching_backend.Watching",
        "AIRFLOW__WORKERS__SECRETS_BACKEND": "watching_backend.Watching",
    }
    run = subprocess.run(
        [sys.executable, "-c", PARSE.format(after=RUN)], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_parsing_500_tasks_sends_no_request_and_looks_up_no_connection(watched: Any) -> None:
    tasks, (reached, looked_up), _ = watched
    assert (tasks, reached, looked_up) == (500, [], [])


def test_the_watch_sees_requests_and_look_ups(watched: Any) -> None:
    _, _, (reached, looked_up) = watched
    assert "socket.connect" in {event for event, _ in reached}
    assert "looked_up" in looked_up
