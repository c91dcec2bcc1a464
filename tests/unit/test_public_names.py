"""The public face is what it says it is."""

from __future__ import annotations

import importlib
import pkgutil

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
