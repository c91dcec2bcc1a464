"""What Airflow registers of the provider, the connection's form and its Test button."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import requests

from airflow_provider_saagie.connection_form import EXTRA_FIELDS, PLACEHOLDERS, RELABELLED
from scripts import airflow_settings

if TYPE_CHECKING:
    from scripts.airflow_api import AirflowApi
    from scripts.stack import Stack

WRONG = "wr0ng-pass"


def airflow_command(stack: Stack, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "airflow", *arguments],
        env=airflow_settings.environment(stack.settings, stack.wishes.folder),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


def test_command_line_lists_provider_and_tests_connection(stack: Stack) -> None:
    assert "airflow-provider-saagie" in airflow_command(stack, "providers", "list")
    assert "airflow_provider_saagie.hooks.saagie.SaagieHook" in airflow_command(stack, "providers", "hooks")
    assert "airflow_provider_saagie.links.saagie.SaagieLink" in airflow_command(stack, "providers", "links")
    shown = airflow_command(stack, "connections", "test", "saagie_default")
    assert "Connection success!" in shown
    assert stack.wishes.saagie_password not in shown


def test_every_dag_file_is_valid(airflow: AirflowApi) -> None:
    airflow.wait_for_dag("saagie_quickstart")
    assert airflow.import_errors() == []


def test_form_has_fields_with_label_help_and_default(stack: Stack, airflow: AirflowApi) -> None:
    answer = requests.post(
        f"{airflow.url}/auth/token",
        json={"username": "admin", "password": stack.wishes.airflow_password},
        timeout=10,
    )
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    metas = requests.get(f"{airflow.url}/ui/connections/hook_meta", headers=headers, timeout=30).json()
    (meta,) = [meta for meta in metas if meta["connection_type"] == "saagie"]
    assert meta["standard_fields"]["url_schema"]["hidden"]
    for name, label in RELABELLED.items():
        assert meta["standard_fields"][name]["title"] == label
        assert meta["standard_fields"][name]["placeholder"] == PLACEHOLDERS[name]
    for field in EXTRA_FIELDS:
        shown = meta["extra_fields"][field.name]
        assert (shown["schema"]["title"], shown["description"], shown["value"]) == (
            field.label,
            field.help,
            field.default,
        )


def test_test_button_names_fault(stack: Stack, airflow: AirflowApi) -> None:
    faults: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({}, {}, "answers"),
        ({"password": WRONG}, {}, "check login, password and realm"),
        ({"host": "http://127.0.0.1:1", "port": None}, {}, "http://127.0.0.1:1"),
        ({}, {"platform_id": 99}, "platform 99"),
    ]
    for changes, extra, named in faults:
        given = stack.connection | {"connection_id": "not_kept"} | changes
        given["extra"] = json.dumps(json.loads(given["extra"]) | extra)
        result = airflow.check_connection(given)
        assert result["status"] is not (bool(changes) or bool(extra)), named
        assert named in result["message"]
        assert WRONG not in result["message"]
