"""What a DAG file loads and reaches when Airflow parses it, seen from a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
LOADS = """
import importlib, json, sys
def loaded_by(*modules):
    before = set(sys.modules)
    for module in modules:
        importlib.import_module(module)
    return sorted({name.partition(".")[0] for name in set(sys.modules) - before})
package = loaded_by("airflow_provider_saagie", "airflow_provider_saagie.get_provider_info")
loaded_by("airflow.sdk", "airflow.triggers.base")
parts = ("triggers", "links", "operators", "sensors")
print(json.dumps([package, *(loaded_by(f"airflow_provider_saagie.{part}.saagie") for part in parts)]))
"""
HEAVY = {"gql", "graphql", "aiohttp", "requests", "requests_toolbelt", "openlineage"}
# Airflow asks a secrets backend for each connection and variable.
BACKEND = """
from airflow.secrets.base_secrets import BaseSecretsBackend
seen = []
class Watching(BaseSecretsBackend):
    def get_conn_value(self, conn_id, *args, **more): seen.append(conn_id)
    def get_variable(self, key, *args, **more): seen.append(key)
    def get_config(self, key): return None
"""
PARSE = """
import json, os, sys
sent = []
NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen")
sys.addaudithook(lambda event, args: sent.append([event, repr(args[1:])]) if event in NETWORK else None)
from airflow.serialization.serialized_objects import DagSerialization
del sent[:]  # by Airflow itself, as it started
from benchmarks import parsed_dag
tasks = len(DagSerialization.to_dict(parsed_dag.dag)["dag"]["tasks"])
import watching_backend
parsed = [list(sent), list(watching_backend.seen)]
# What a task does at run time is seen, or the test would prove nothing.
from airflow_provider_saagie.hooks.saagie import SaagieHook
os.environ["AIRFLOW_CONN_LOCAL"] = json.dumps({"conn_type": "saagie", "host": "http://127.0.0.1:9", "login": "l",
    "password": "password", "extra": {"realm": "local", "platform_id": 1}})
assert not SaagieHook("local").test_connection()[0]
print(json.dumps([tasks, parsed, [event for event, _ in sent], watching_backend.seen]))
"""


def run(code: str, **environment: str) -> Any:
    command = [sys.executable, "-c", code]
    process = subprocess.run(command, env=os.environ | environment, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return json.loads(process.stdout.splitlines()[-1])


def test_importing_the_provider_loads_nothing_heavy() -> None:
    package, *parts = run(LOADS)
    assert {*HEAVY, "airflow"}.isdisjoint(package)
    for part in parts:
        assert {*HEAVY, "airflow_provider_saagie"}.intersection(part) == {"airflow_provider_saagie"}


def test_parsing_500_tasks_sends_and_looks_up_nothing(tmp_path: Path) -> None:
    (tmp_path / "watching_backend.py").write_text(BACKEND)
    backend = dict.fromkeys(
        ("AIRFLOW__SECRETS__BACKEND", "AIRFLOW__WORKERS__SECRETS_BACKEND"), "watching_backend.Watching"
    )
    home = str(tmp_path / "home")
    tasks, parsed, sent, looked_up = run(PARSE, PYTHONPATH=f"{ROOT}:{tmp_path}", AIRFLOW_HOME=home, **backend)
    assert (tasks, parsed) == (500, [[], []])
    assert "socket.connect" in sent
    assert "local" in looked_up
