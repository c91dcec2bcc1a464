"""deploy/docker-compose.yml, checked without docker: its names are Airflow's, compose's and the project's."""

from __future__ import annotations

import re
from typing import Any

import yaml
from airflow.cli.cli_parser import get_parser
from airflow.configuration import conf
from typer.main import get_command

from airflow_provider_saagie.emulator.cli import app
from scripts import cluster_layout
from tests.support.pages import ROOT

FOLDER = ROOT / "deploy"
TEXT = (FOLDER / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "airflow-with-saagie"}
# What a service of a compose file may have, as far as these use it.
KEYS = {
    "build", "command", "depends_on", "deploy", "entrypoint", "environment", "healthcheck", "image", "ports", "restart",
    "stop_grace_period", "volumes",
}  # fmt: skip
CONDITIONS = {"service_healthy", "service_completed_successfully", "service_started"}
# Sections of providers that are not always installed here.
ELSEWHERE = {"celery", "celery_broker_transport_options"}


def test_services_are_valid_and_those_of_make_cluster() -> None:
    for name, service in SERVICES.items():
        assert service.keys() <= KEYS, name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (FOLDER / source).exists(), volume
        for needed, how in service.get("depends_on", {}).items():
            assert how["condition"] in CONDITIONS
            assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[needed], needed
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
    layout = {
        "scheduler": cluster_layout.SCHEDULERS,
        "triggerer": cluster_layout.TRIGGERERS,
        "worker": cluster_layout.WORKERS,
    }
    for name, programs in layout.items():
        assert SERVICES[name]["deploy"]["replicas"] == len(programs), name
    assert {"postgres", "redis", "api-server", "dag-processor", "saagie"} <= SERVICES.keys()


def test_commands_and_variables_are_known() -> None:
    known = conf.configuration_description
    for name, service in OURS.items():
        command = service["command"]
        if name == "saagie":
            options = {option for parameter in get_command(app).params for option in parameter.opts}
            assert {part for part in command if part.startswith("--")} <= options
            assert "SAAGIE_EMULATOR_PASSWORD" in service["environment"]
        elif command[0] == "celery":  # of a provider that the image has
            assert command == ["celery", "worker"]
        else:
            get_parser().parse_args(command)
        for variable in service.get("environment", {}):
            if found := re.fullmatch(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+)", variable):
                section, option = (part.lower() for part in found.groups())
                assert section in ELSEWHERE or option in known[section]["options"], variable


def test_secrets_are_required_and_airflow_is_the_tested_one() -> None:
    named = set(re.findall(r"\$\{([A-Z_]+)", TEXT))
    example = [line for line in (FOLDER / "env.example").read_text().splitlines() if not line.startswith("#")]
    assert {*example} == {f"{name}=" for name in named}
    for name in named:  # an empty one stops compose, rather than being a known password
        assert f"${{{name}:?" in TEXT, name
    pinned = re.search(r"^apache-airflow==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    assert f"FROM apache/airflow:{pinned[1]}\n" in (FOLDER / "Dockerfile").read_text()
