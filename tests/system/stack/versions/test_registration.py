"""What Airflow registers of the provider, the connection's form and its Test button."""

from __future__ import annotations

import requests

from airflow_provider_saagie.connection_form import EXTRA_FIELDS, PLACEHOLDERS, RELABELLED
from scripts.airflow_api import AirflowApi
from scripts.stack import Stack
from tests.system.stack.test_connection import (
    test_command_line_lists_provider_and_tests_connection as test_command_line_lists_provider_and_tests_connection,
)
from tests.system.stack.test_connection import (
    test_connection_test_names_fault_without_password as test_connection_test_names_fault_without_password,
)


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
