"""The layers: which part of the package may import which other, and which part may import what else."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "airflow_provider_saagie"

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
HTTP = {"gql", "graphql", "aiohttp", "requests", "requests_toolbelt", "tenacity", "urllib3"}
AIRFLOW = (
    "airflow.providers.common.compat",
    "airflow.providers.openlineage.extractors",
    "airflow.providers.standard",
    "airflow.sdk",
    "airflow.triggers.base",
)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative imports hide the direction"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


IMPORTS = {path.relative_to(PACKAGE): imports(path) for path in PACKAGE.rglob("*.py")}


def test_each_part_imports_only_the_parts_that_it_may() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(MAY_IMPORT)
    for path, names in IMPORTS.items():
        if (part := path.parts[0]) in MAY_IMPORT:
            parts = {name.split(".")[1] for name in names if name.startswith(f"{PACKAGE.name}.")}
            top = set() if part == "emulator" else AT_THE_TOP | {"__version__"}
            assert parts - MAY_IMPORT[part] - {part} - top == set(), path


def test_each_part_imports_from_outside_only_what_it_may() -> None:
    """Only the client uses HTTP and GraphQL, without Airflow; one module has all private names of Airflow."""
    for path, names in IMPORTS.items():
        top_level = {name.partition(".")[0] for name in names}
        if path.parts[0] in ("client", "exceptions.py"):
            assert "airflow" not in top_level, path
        if path.parts[0] in ("hooks", "operators", "sensors", "links", "triggers"):
            assert top_level & HTTP == set(), path
        if path.name != "airflow_compat.py":
            of_airflow = [name for name in names if name.partition(".")[0] == "airflow"]
            assert [name for name in of_airflow if not name.startswith(AIRFLOW)] == [], path
