"""The public face is what it says it is."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import airflow_provider_saagie as package

FACES = [
    name
    for _, name, is_package in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not is_package and ".emulator." not in name
]


def test_the_package_gives_every_name_that_it_lists() -> None:
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="no_such_name"):
        package.no_such_name  # noqa: B018 - asking for it is the test


def test_the_packages_names_are_those_of_its_faces() -> None:
    """A new operator, say, is a name of the package too: in its list, and where type checkers look."""
    faces = ["hooks.saagie", "links.saagie", "operators.saagie", "sensors.saagie", "triggers.saagie"]
    listed = {name for face in faces for name in importlib.import_module(f"{package.__name__}.{face}").__all__}
    of_faces = {name for name in listed if name.startswith("Saagie")}
    source = ast.parse(Path(package.__file__).read_text())
    imported = {
        alias.name
        for block in source.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for line in block.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }
    assert set(package.__all__) - {"__version__"} == of_faces == imported == set(package._HOME_OF)


def test_the_operators_face_has_every_operator() -> None:
    folder = Path(package.__file__).parent / "operators"
    written = {
        node.name
        for path in folder.glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and node.name.startswith("Saagie") and node.name.endswith("Operator")
    }
    assert written == set(importlib.import_module(f"{package.__name__}.operators.saagie").__all__)


@pytest.mark.parametrize("name", FACES)
def test_every_module_lists_what_it_gives(name: str) -> None:
    if name.endswith(".operators.lineage"):
        pytest.importorskip("airflow.providers.openlineage", reason="it needs the extra `openlineage`")
    module = importlib.import_module(name)
    for public in module.__all__:
        assert getattr(module, public) is not None


def test_the_error_tree_in_the_docstring_is_the_tree_of_the_code() -> None:
    from airflow_provider_saagie import exceptions

    drawn = [
        line
        for line in (exceptions.__doc__ or "").splitlines()
        if "Saagie" in line and ("─" in line or line.strip() == "SaagieError")
    ]
    stack: list[tuple[int, str]] = []
    for line in drawn:
        name = line.split()[-1] if "── " not in line else line.split("── ")[1].split()[0]
        depth = line.index(name)
        while stack and stack[-1][0] >= depth:
            stack.pop()
        kind = getattr(exceptions, name)
        if stack:
            assert issubclass(kind, getattr(exceptions, stack[-1][1])), name
        stack.append((depth, name))
    names = {line.split("── ")[1].split()[0] for line in drawn if "── " in line} | {"SaagieError"}
    assert names == set(exceptions.__all__)
