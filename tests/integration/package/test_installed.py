"""The wheel in an environment of its own, which grows: no extra, then `emulator`, then `openlineage`.

What is told of a stage is looked at before the next one is installed.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import airflow_provider_saagie
from airflow_provider_saagie.client.documents import operation_names
from airflow_provider_saagie.get_provider_info import get_provider_info
from scripts import airflow_settings, processes
from scripts.airflow_api import AirflowApi
from scripts.airflow_settings import LOGIN, AirflowSettings, free_port, new_password, write_configuration
from scripts.processes import Program
from tests.integration.package.conftest import make_environment, unpack_examples
from tests.system.stack.saagie_side import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.package.conftest import Built, Environment

# Downloading and unpacking Airflow takes half a minute, or a few where the index is slow.
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
# All that `pip install airflow-provider-saagie` puts beside an Airflow: clients, and nothing that serves.
ADDED = {
    "airflow-provider-saagie",
    "gql", "graphql-core",
    "requests-toolbelt",
    "aiohttp", "aiohappyeyeballs", "aiosignal", "frozenlist", "multidict", "propcache", "yarl",
}  # fmt: skip
READY = "Saagie emulator listening on "


@dataclass(frozen=True)
class Stage:
    """An environment as it was when something had just been installed: what `probe.py` tells."""

    environment: Environment
    told: dict[str, Any]
    checked: str


def look(environment: Environment) -> Stage:
    return Stage(environment, environment.probe(), environment.run("python", "-m", "pip", "check"))


@pytest.fixture(scope="module")
def bare(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    environment = make_environment(tmp_path_factory.mktemp("installed"))
    environment.install(str(built.wheel))
    return look(environment)


@pytest.fixture(scope="module")
def with_emulator(built: Built, bare: Stage) -> Stage:
    bare.environment.install(f"{built.wheel}[emulator]")
    return look(bare.environment)


@pytest.fixture(scope="module")
def with_openlineage(built: Built, with_emulator: Stage) -> Stage:
    with_emulator.environment.install(f"{built.wheel}[openlineage]")
    return look(with_emulator.environment)


@pytest.fixture(params=["bare", "with_emulator", "with_openlineage"])
def stage(request: pytest.FixtureRequest) -> Stage:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Stage)
    return found


def test_nothing_is_missing_or_in_conflict(stage: Stage) -> None:
    assert stage.checked == "No broken requirements found.\n"


def test_it_is_the_wheel_that_is_looked_at(stage: Stage) -> None:
    assert Path(stage.told["folder"]).is_relative_to(stage.environment.folder)


def test_airflow_finds_the_provider_and_its_connection_type(stage: Stage) -> None:
    assert stage.told["info"] == json.loads(json.dumps(get_provider_info()))
    assert stage.told["hook"] == "airflow_provider_saagie.hooks.saagie.SaagieHook by airflow-provider-saagie"


def test_every_public_name_and_every_document_loads(stage: Stage) -> None:
    assert stage.told["names"] == airflow_provider_saagie.__all__
    assert stage.told["documents"] == operation_names()


def test_without_extras_airflow_gets_clients_and_no_server(bare: Stage) -> None:
    assert set(bare.told["beyond_airflow"]) == ADDED
    assert not [name for name in bare.told["modules"] if ".emulator" in name]


def test_without_its_extra_the_emulator_says_what_to_install(bare: Stage) -> None:
    assert bare.told["emulator_said"].startswith("1: ")
    assert "pip install 'airflow-provider-saagie[emulator]'" in bare.told["emulator_said"]


def test_each_extra_brings_what_its_modules_need(with_emulator: Stage, with_openlineage: Stage) -> None:
    added = set(with_emulator.told["modules"])
    assert {f"airflow_provider_saagie.emulator.{name}" for name in ("cli", "app", "web.pages")} <= added
    assert "airflow_provider_saagie.operators.lineage" in with_openlineage.told["modules"]


def test_the_command_line_lists_the_provider(with_emulator: Stage) -> None:
    listed = json.loads(with_emulator.environment.run("airflow", "providers", "list", "--output", "json"))
    (found,) = [one for one in listed if one["package_name"] == "airflow-provider-saagie"]
    assert found["version"] == airflow_provider_saagie.__version__


@pytest.fixture
def emulator(with_emulator: Stage) -> Iterator[tuple[str, dict[str, str]]]:
    """The emulator that the wheel installed: its address, and the variable that it tells to set for Airflow."""
    environment = with_emulator.environment
    said = environment.home / "emulator.stderr"
    with said.open("w") as stderr:
        process = subprocess.Popen(
            [environment.folder / "bin" / "saagie-emulator", "--port", "0"],
            cwd=environment.home, env=environment.variables, stdout=subprocess.PIPE, stderr=stderr, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith(READY), said.read_text()
        (export,) = [one for one in said.read_text().splitlines() if "export AIRFLOW_CONN_SAAGIE_DEFAULT=" in one]
        name, _, value = export.strip().removeprefix("export ").partition("=")
        yield line.removeprefix(READY).strip(), {name: shlex.split(value)[0]}
    finally:
        process.terminate()
        process.wait(15)
        process.stdout.close()


def test_the_quickstart_runs_where_nothing_but_the_wheel_is(
    built: Built, with_emulator: Stage, emulator: tuple[str, dict[str, str]]
) -> None:
    environment = with_emulator.environment
    url, connection = emulator
    unpack_examples(built.sdist, environment.home / "dags")
    environment.run("airflow", "db", "migrate")
    done = subprocess.run(
        [environment.folder / "bin" / "airflow", "dags", "test", "saagie_quickstart"],
        cwd=environment.home, env=environment.variables | connection, check=False, capture_output=True, text=True,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-8000:]
    assert re.search(r"DagRun Finished: .*\bstate=success\b", said)
    assert "[job] Hello from Saagie!" in said
    with urllib.request.urlopen(f"{url}/emulator/stats", timeout=10) as answer:
        asked = json.load(answer)["operations"]
    assert (asked["createJob"], asked["runJob"]) == (1, 1)


@pytest.mark.slow
def test_a_whole_airflow_runs_the_quickstart_where_nothing_but_the_wheel_is(
    built: Built, with_emulator: Stage, emulator: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    """What `airflow standalone` starts, from the wheel's environment, each component as in production."""
    environment, (url, connection) = with_emulator.environment, emulator
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
        wait_until(lambda: kept.check() or not airflow.unhealthy(), 120, "all components are healthy")
        airflow.log_in()
        airflow.wait_for_dag("saagie_quickstart")
        run_id = airflow.trigger("saagie_quickstart")
        assert airflow.wait_for_run("saagie_quickstart", run_id) == "success"
        log = airflow.log_text("saagie_quickstart", run_id, "run")
        assert "Waiting in the triggerer" in log
        assert "[job] Hello from Saagie!" in log
        assert url in str(airflow.links("saagie_quickstart", run_id, "run")["Open in Saagie"])
    finally:
        airflow.close()
        kept.stop()
