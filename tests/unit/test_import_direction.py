"""The design's arrows: who may import whom, and what a DAG file's parse may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "airflow_provider_saagie"
NAME = PACKAGE.name

# A part may import the parts named, besides itself and the modules at the top.
MAY_IMPORT = {
    "client": set(),
    "hooks": {"client"},
    "links": set(),
    "triggers": {"hooks", "client"},
    "operators": {"hooks", "client", "triggers", "links"},
    "sensors": {"hooks", "client", "triggers", "links", "operators"},
    "emulator": set(),
}
AT_THE_TOP = {"exceptions", "airflow_compat", "airflow_health", "connection_form", "job_log"}
HEAVY = ("gql", "graphql", "aiohttp", "requests", "requests_toolbelt")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative imports hide the direction"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def modules(part: str) -> list[Path]:
    return sorted((PACKAGE / part).rglob("*.py"))


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_a_part_imports_only_what_the_design_allows(part: str) -> None:
    for path in modules(part):
        own = {name.split(".")[1] for name in imports(path) if name.startswith(f"{NAME}.")}
        top = set() if part == "emulator" else AT_THE_TOP | {"__version__"}
        beyond = own - MAY_IMPORT[part] - {part} - top
        assert not beyond, f"{path.relative_to(ROOT)} imports {beyond}"


def test_every_folder_is_in_the_table() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(MAY_IMPORT)


def test_the_client_knows_nothing_of_airflow() -> None:
    for path in [*modules("client"), PACKAGE / "exceptions.py"]:
        assert not {name for name in imports(path) if name.split(".")[0] == "airflow"}, path


def test_only_the_client_speaks_http_and_graphql_to_saagie() -> None:
    for part in ("hooks", "operators", "sensors", "links", "triggers"):
        for path in modules(part):
            assert not {name for name in imports(path) if name.split(".")[0] in (*HEAVY, "tenacity", "urllib3")}, path


def test_inner_names_of_airflow_stand_in_one_module() -> None:
    public = (
        "airflow.providers.common.compat",
        "airflow.providers.openlineage.extractors",
        "airflow.providers.standard",
        "airflow.sdk",
        "airflow.triggers.base",
    )
    for path in PACKAGE.rglob("*.py"):
        if path.name != "airflow_compat.py":
            names = {name for name in imports(path) if name.split(".")[0] == "airflow"}
            assert not {name for name in names if not name.startswith(public)}, path


def loaded_by(code: str) -> set[str]:
    script = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(run.stdout.split())


@pytest.mark.parametrize("module", ["operators.saagie", "sensors.saagie", "triggers.saagie", "links.saagie"])
def test_a_dag_file_loads_nothing_heavy_through_us(module: str) -> None:
    loaded = loaded_by(f"import airflow.sdk, airflow.triggers.base\nbefore = set(sys.modules)\nimport {NAME}.{module}")
    assert not {name for name in loaded if name.split(".")[0] in (*HEAVY, "openlineage")}


def test_the_package_and_the_providers_info_load_nothing() -> None:
    loaded = loaded_by(f"import {NAME}, {NAME}.get_provider_info")
    assert not {name for name in loaded if name.split(".")[0] in (*HEAVY, "airflow")}
