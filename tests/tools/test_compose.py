"""deploy/docker-compose.yml, checked without docker: its names are Airflow's, compose's and ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.cli.cli_parser import get_parser
from airflow.configuration import conf

from scripts import cluster_layout

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy"
TEXT = (FOLDER / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one.get("image") == "airflow-with-saagie"}
# What a service of a compose file may have, as far as ours use it.
KEYS = {
    "build", "command", "depends_on", "deploy", "entrypoint", "environment", "healthcheck", "image", "ports", "restart",
    "stop_grace_period", "volumes",
}  # fmt: skip
CONDITIONS = {"service_healthy", "service_completed_successfully", "service_started"}
# Sections of providers that are not always installed here.
ELSEWHERE = {"celery", "celery_broker_transport_options"}


def environment(service: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = service.get("environment", {})
    return found


def test_every_service_has_what_compose_knows() -> None:
    for name, service in SERVICES.items():
        assert service.keys() <= KEYS, name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (FOLDER / source).exists(), volume
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES
            assert how["condition"] in CONDITIONS
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[needed]


def test_it_runs_what_make_cluster_runs() -> None:
    assert SERVICES["scheduler"]["deploy"]["replicas"] == len(cluster_layout.SCHEDULERS)
    assert SERVICES["triggerer"]["deploy"]["replicas"] == len(cluster_layout.TRIGGERERS)
    assert SERVICES["worker"]["deploy"]["replicas"] == len(cluster_layout.WORKERS)
    assert {"postgres", "redis", "api-server", "dag-processor", "saagie"} <= SERVICES.keys()


@pytest.mark.parametrize("name", sorted(OURS.keys() - {"saagie"}))
def test_every_command_is_airflows(name: str) -> None:
    command = OURS[name]["command"]
    if command[0] == "celery":  # of a provider that the image has
        assert command == ["celery", "worker"]
        return
    get_parser().parse_args(command)


def test_every_variable_of_airflow_is_one_of_its_options() -> None:
    known = conf.configuration_description
    for service in OURS.values():
        for variable in environment(service):
            found = re.fullmatch(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+)", variable)
            if found:
                section, option = (part.lower() for part in found.groups())
                assert section in ELSEWHERE or option in known[section]["options"], variable


def test_the_local_saagie_takes_its_options() -> None:
    command = SERVICES["saagie"]["command"]
    options = {part for part in command if part.startswith("--")}
    shown = subprocess.run(
        [sys.executable, "-m", "airflow_provider_saagie.emulator", "--help"],
        capture_output=True, text=True, check=True, timeout=60, env={"COLUMNS": "200", "PYTHONPATH": str(ROOT)},
    ).stdout  # fmt: skip
    assert all(option in shown for option in options), options
    assert "SAAGIE_EMULATOR_PASSWORD" in environment(SERVICES["saagie"])


def test_every_secret_is_asked_for_and_none_is_written() -> None:
    named = set(re.findall(r"\$\{([A-Z_]+)", TEXT))
    example = dict(
        line.split("=") for line in (FOLDER / "env.example").read_text().splitlines() if not line.startswith("#")
    )
    assert example.keys() == named
    assert set(example.values()) == {""}
    for name in named:  # an empty one stops compose, rather than being a known password
        assert f"${{{name}:?" in TEXT, name


def test_nothing_is_published_beyond_this_machine() -> None:
    for service in SERVICES.values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


def test_the_image_is_the_airflow_that_the_tests_ran_with() -> None:
    pinned = re.search(r"^apache-airflow==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    assert f"FROM apache/airflow:{pinned[1]}\n" in (FOLDER / "Dockerfile").read_text()
