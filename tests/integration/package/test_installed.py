"""The wheel in an environment of its own, which grows: no extra, then `emulator`, then `openlineage`.

Each stage is examined before the next one is installed.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_saagie
from airflow_provider_saagie.client.documents import operation_names
from airflow_provider_saagie.get_provider_info import get_provider_info
from scripts import airflow_settings, processes
from scripts.airflow_api import AirflowApi
from scripts.airflow_settings import LOGIN, AirflowSettings, free_port, new_password, write_configuration
from scripts.processes import Program
from tests.integration.package.conftest import Built, Environment, make_environment, unpack_examples
from tests.support.waiting import wait_until

# Downloading and unpacking Airflow takes half a minute, or a few minutes if the index is slow.
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
# All that `pip install airflow-provider-saagie` adds to an Airflow: clients, and nothing that serves.
ADDED = {
    "airflow-provider-saagie",
    "gql", "graphql-core",
    "requests-toolbelt",
    "aiohttp", "aiohappyeyeballs", "aiosignal", "frozenlist", "multidict", "propcache", "yarl",
}  # fmt: skip
READY = "Saagie emulator listening on "


@dataclass(frozen=True)
class Stage:
    """An environment in which something has just been installed, and what `probe.py` has found there."""

    environment: Environment
    found: dict[str, Any]


def examine(environment: Environment) -> Stage:
    """Check what holds for every stage."""
    assert environment.run("python", "-m", "pip", "check") == "No broken requirements found.\n"
    found = environment.probe()
    assert Path(found["folder"]).is_relative_to(environment.folder), "the wheel's, not the checkout's"
    assert found["info"] == json.loads(json.dumps(get_provider_info()))
    assert found["hook"] == "airflow_provider_saagie.hooks.saagie.SaagieHook by airflow-provider-saagie"
    assert found["names"] == airflow_provider_saagie.__all__
    assert found["documents"] == operation_names()
    return Stage(environment, found)


@pytest.fixture(scope="module")
def bare(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    environment = make_environment(tmp_path_factory.mktemp("installed"))
    environment.install(str(built.wheel))
    return examine(environment)


@pytest.fixture(scope="module")
def with_emulator(built: Built, bare: Stage) -> Stage:
    bare.environment.install(f"{built.wheel}[emulator]")
    return examine(bare.environment)


@pytest.fixture(scope="module")
def with_openlineage(built: Built, with_emulator: Stage) -> Stage:
    with_emulator.environment.install(f"{built.wheel}[openlineage]")
    return examine(with_emulator.environment)


def test_wheel_without_extras_adds_clients_and_no_server(bare: Stage) -> None:
    assert set(bare.found["beyond_airflow"]) == ADDED
    assert not [name for name in bare.found["modules"] if ".emulator" in name]
    assert bare.found["emulator_output"].startswith("1: ")
    assert "pip install 'airflow-provider-saagie[emulator]'" in bare.found["emulator_output"]


@pytest.fixture
def emulator(with_emulator: Stage) -> Iterator[tuple[str, dict[str, str]]]:
    """The emulator that the wheel installed: its address, and the variable that it says to set for Airflow."""
    environment = with_emulator.environment
    output = environment.home / "emulator.stderr"
    with output.open("w") as stderr:
        process = subprocess.Popen(
            [environment.folder / "bin" / "saagie-emulator", "--port", "0"],
            cwd=environment.home, env=environment.variables, stdout=subprocess.PIPE, stderr=stderr, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith(READY), output.read_text()
        (export,) = [line for line in output.read_text().splitlines() if "export AIRFLOW_CONN_SAAGIE_DEFAULT=" in line]
        name, _, value = export.strip().removeprefix("export ").partition("=")
        yield line.removeprefix(READY).strip(), {name: shlex.split(value)[0]}
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def test_airflow_with_emulator_extra_runs_quickstart(
    built: Built, with_emulator: Stage, emulator: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    """All that `airflow standalone` starts, from the wheel's environment, each component as in production."""
    environment, (url, connection) = with_emulator.environment, emulator
    modules = {f"airflow_provider_saagie.emulator.{name}" for name in ("cli", "app", "web.pages")}
    assert modules <= set(with_emulator.found["modules"])
    unpack_examples(built.sdist, tmp_path / "dags")
    settings = AirflowSettings(tmp_path / "airflow", free_port(), tmp_path / "dags", new_password())
    write_configuration(settings)
    env = airflow_settings.environment(settings, tmp_path) | connection | {"PATH": environment.variables["PATH"]}
    command = str(environment.folder / "bin" / "airflow")
    kept = processes.start(
        [
            Program("database", [command, "db", "migrate"], env, once=True),
            *(Program(name, [command, name], env) for name in ("dag-processor", "api-server")),
            *(Program(name, [command, name, "--skip-serve-logs"], env) for name in ("scheduler", "triggerer")),
        ],
        tmp_path,
        grace=5,
    )
    airflow = AirflowApi(settings.url, LOGIN, settings.password)
    try:
        wait_until(lambda: kept.check() or not airflow.unhealthy(), limit=300, pause=0.5)
        airflow.log_in()
        providers = airflow.call("GET", "providers", params={"limit": 1000})["providers"]
        version = {provider["package_name"]: provider["version"] for provider in providers}
        assert version["airflow-provider-saagie"] == airflow_provider_saagie.__version__
        airflow.wait_for_dag("saagie_quickstart", seconds=300)
        run_id = airflow.trigger("saagie_quickstart")
        assert airflow.wait_for_run("saagie_quickstart", run_id, seconds=300) == "success"
        log = airflow.log_text("saagie_quickstart", run_id, "run")
        assert "Waiting in the triggerer" in log
        assert "[job] Hello from Saagie!" in log
        assert url in str(airflow.links("saagie_quickstart", run_id, "run")["Open in Saagie"])
    finally:
        airflow.close()
        kept.stop()
    with urllib.request.urlopen(f"{url}/emulator/stats", timeout=60) as response:
        operations = json.load(response)["operations"]
    assert (operations["createJob"], operations["runJob"]) == (1, 1)


def test_openlineage_extra_brings_what_its_module_needs(with_openlineage: Stage) -> None:
    assert "airflow_provider_saagie.operators.lineage" in with_openlineage.found["modules"]
