"""Airflow's own ways to list the provider and to test a connection; transfers in a task."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from scripts import airflow_settings
from scripts.airflow_api import AirflowApi
from scripts.stack import Stack

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

WRONG = "wr0ng-pass"
# Changes to the connection's fields and to its extra, and what the message names.
FAULTS: list[tuple[dict[str, object], dict[str, object], str]] = [
    ({"password": WRONG}, {}, "check login, password and realm"),
    ({"host": "http://127.0.0.1:9", "port": 9}, {}, "http://127.0.0.1:9 could not be asked: the connection was"),
    ({"host": "https://gone.invalid", "port": 443}, {}, "could not be asked: its name could not be resolved"),
    ({"host": None, "port": None}, {}, "no host"),
    ({}, {"proxy": "http://127.0.0.1:9"}, "could not be asked: the proxy refused or could not be reached"),
    ({}, {"realm": "elsewhere"}, "refused the login of 'airflow' in the realm 'elsewhere' (HTTP 401): check login"),
    ({}, {"platform_id": 99}, "has no platform 99, or 'airflow' may not see it: check the platform number"),
]


def test_command_line_lists_provider_and_tests_connection(stack: Stack) -> None:
    def airflow(*arguments: str) -> str:
        env = airflow_settings.environment(stack.settings, stack.wishes.folder)
        command = [sys.executable, "-m", "airflow", *arguments]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert stack.wishes.saagie_password not in done.stdout + done.stderr
        return done.stdout

    hooks = json.loads(airflow("providers", "hooks", "--output", "json"))
    ours = [hook["class"] for hook in hooks if hook["connection_type"] == "saagie"]
    assert ours == ["airflow_provider_saagie.hooks.saagie.SaagieHook"]
    assert "airflow_provider_saagie.links.saagie.SaagieLink" in airflow("providers", "links", "--output", "json")
    assert "Connection success!" in airflow("connections", "test", "saagie_default")


def test_connection_test_names_fault_without_password(stack: Stack, airflow: AirflowApi) -> None:
    assert airflow.check_connection(stack.connection)["status"]
    for changes, extra, named in FAULTS:
        connection = stack.connection | {"connection_id": "not_kept"} | changes
        connection["extra"] = json.dumps(json.loads(connection["extra"]) | extra)
        result = airflow.check_connection(connection)
        assert not result["status"], named
        assert named in result["message"]
        assert not [secret for secret in (WRONG, stack.wishes.saagie_password) if secret in result["message"]], named


def test_hook_logs_progress_of_transfers_in_task(airflow: AirflowApi) -> None:
    airflow.wait_for_dag("hook_transfers")
    run_id = airflow.trigger("hook_transfers")
    assert airflow.wait_for_run("hook_transfers", run_id) == "success"
    log = airflow.log_text("hook_transfers", run_id, "there_and_back")
    assert "stderr is a terminal: False" in log
    for what in ("Uploading", "Downloading"):
        assert re.search(rf"{what} 'model.bin': [0-9.]+ of 1.0 MiB \([0-9]+ %\), [0-9.]+ MiB/s\.", log), log
        assert re.search(rf"{what} 'model.bin': done, 1.0 MiB in [0-9]+ s\.", log), log
    assert airflow.xcom("hook_transfers", run_id, "there_and_back") == 1024 * 1024
