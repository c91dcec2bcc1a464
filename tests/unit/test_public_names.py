"""The public names: what the package and its modules list exists, and the lists agree."""

from __future__ import annotations

import ast
import importlib.util
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

import airflow_provider_saagie as package
from airflow_provider_saagie import exceptions

SOURCE = Path(package.__file__).parent
PUBLIC_MODULES = ("hooks.saagie", "links.saagie", "operators.saagie", "sensors.saagie", "triggers.saagie")


def load(name: str) -> ModuleType:
    return importlib.import_module(f"{package.__name__}.{name}")


def test_package_names_are_those_of_its_public_modules() -> None:
    """Also for type checkers, which read the imports under `TYPE_CHECKING`."""
    (block,) = [node for node in ast.parse(Path(package.__file__).read_text()).body if isinstance(node, ast.If)]
    imported = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    listed = {name for module in PUBLIC_MODULES for name in load(module).__all__ if name.startswith("Saagie")}
    assert set(package.__all__) - {"__version__"} == listed == imported
    assert set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        package.no_such_name  # noqa: B018 - the attribute access is the test


def test_operators_module_lists_every_operator() -> None:
    code = "".join(path.read_text() for path in (SOURCE / "operators").glob("*.py"))
    assert set(re.findall(r"^class (Saagie\w+Operator)\b", code, re.MULTILINE)) == set(load("operators.saagie").__all__)


def test_every_name_that_a_module_lists_exists() -> None:
    has_openlineage = importlib.util.find_spec("airflow.providers.openlineage")
    for _, name, is_package in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not (is_package or ".emulator." in name or (name.endswith(".lineage") and not has_openlineage)):
            module = importlib.import_module(name)
            assert [public for public in module.__all__ if getattr(module, public, None) is None] == [], name


def test_error_tree_in_the_docstring_is_the_class_tree() -> None:
    parents: dict[int, str] = {}
    names = re.findall(r"^(.*?)\b(Saagie\w+)(?:  .*)?$", exceptions.__doc__ or "", re.MULTILINE)
    names = [(before, name) for before, name in names if not before.strip(" │├└─")]
    for before, name in names:
        parents = {depth: parent for depth, parent in parents.items() if depth < len(before)}
        assert not parents or issubclass(getattr(exceptions, name), getattr(exceptions, parents[max(parents)])), name
        parents[len(before)] = name
    assert {name for _, name in names} == set(exceptions.__all__)
