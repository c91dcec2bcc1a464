"""Airflow's own ways to look at the provider and to test a connection, in a real installation."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from scripts import airflow_settings

if TYPE_CHECKING:
    from scripts.airflow_api import AirflowApi
    from scripts.stack import Stack

pytestmark = pytest.mark.slow

WRONG = "wr0ng-pass"


def airflow_command(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Airflow's command line in the stack's home."""
    return subprocess.run(
        [sys.executable, "-m", "airflow", *arguments],
        env=airflow_settings.environment(stack.settings, stack.wishes.folder),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.long  # Airflow's command line takes ten seconds of a core to start
def test_the_command_line_tests_the_connection(stack: Stack):
    done = airflow_command(stack, "connections", "test", "saagie_default")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Connection success!" in done.stdout
    assert stack.wishes.saagie_password not in done.stdout + done.stderr


@pytest.mark.long  # Airflow's command line takes ten seconds of a core to start
def test_airflow_lists_our_connection_type_and_link(stack: Stack):
    hooks = json.loads(airflow_command(stack, "providers", "hooks", "--output", "json").stdout)
    ours = [hook for hook in hooks if hook["connection_type"] == "saagie"]
    assert [hook["class"] for hook in ours] == ["airflow_provider_saagie.hooks.saagie.SaagieHook"]
    links = airflow_command(stack, "providers", "links", "--output", "json").stdout
    assert "airflow_provider_saagie.links.saagie.SaagieLink" in links


@pytest.mark.parametrize(
    ("changes", "extra", "named"),
    [
        ({"password": WRONG}, {}, "check login, password and realm"),
        ({"host": "http://127.0.0.1:1"}, {}, "http://127.0.0.1:1"),
        ({"host": "https://no-such-host.invalid"}, {}, "no-such-host.invalid"),
        ({"host": None}, {}, "no host"),
        ({}, {"realm": "elsewhere"}, "'elsewhere'"),
        ({}, {"platform_id": 99}, "platform 99"),
    ],
    ids=str,
)
def test_a_fault_is_named_and_no_password_shown(
    stack: Stack, airflow: AirflowApi, changes: dict[str, Any], extra: dict[str, Any], named: str
):
    given = stack.connection | {"connection_id": "not_kept", "port": None} | changes
    given["extra"] = json.dumps(json.loads(given["extra"]) | extra)

    answer = airflow.check_connection(given)

    assert answer["status"] is False
    assert named in answer["message"]
    for password in (WRONG, stack.wishes.saagie_password):
        assert password not in answer["message"]
