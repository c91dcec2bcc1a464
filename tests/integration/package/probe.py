"""Run by an environment's Python: write into a file, as JSON, what of the provider is installed and loads."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution, distributions, entry_points
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROVIDER = "airflow_provider_saagie"
# Parts of the provider that are of use only beside another package.
OPTIONAL = {
    "emulator": "ariadne",
    "emulator.pytest_plugin": "pytest",
    "operators.lineage": "apache-airflow-providers-openlineage",
}


def needed_by(name: str) -> set[str]:
    """Return the installed distributions that one needs, directly or not."""
    todo, seen = [(name, frozenset[str]())], set()
    while todo:
        this = todo.pop()
        if this in seen:
            continue
        seen.add(this)
        try:
            lines = distribution(this[0]).requires or []
        except PackageNotFoundError:  # needed on another machine, or by an extra that is not installed
            continue
        for requirement in map(Requirement, lines):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *this[1])):
                todo.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return {name for name, _ in seen}


def modules(*, but: tuple[str, ...]) -> list[str]:
    """Return the provider's modules but those whose names begin so, and those that would start a program."""
    package = importlib.import_module(PROVIDER)
    found = pkgutil.walk_packages([path for path in package.__path__], f"{PROVIDER}.")  # noqa: C416
    return [
        one.name
        for one in found
        if not one.name.startswith(tuple(f"{PROVIDER}.{name}" for name in but)) and not one.name.endswith("__main__")
    ]


def loads(name: str) -> bool:
    """Return whether a module has each name that it lists."""
    module = importlib.import_module(name)
    return all(getattr(module, public) is not None for public in getattr(module, "__all__", ()))


def emulator_output() -> str:
    """Start the emulator, which can't run; return its exit code and stderr."""
    program = Path(sys.prefix) / "bin" / "saagie-emulator"
    done = subprocess.run([program], check=False, capture_output=True, text=True)
    return f"{done.returncode}: {done.stderr}"


def main() -> None:
    """Write what was found."""
    installed = {canonicalize_name(one.name): one.version for one in distributions()}
    package = importlib.import_module(PROVIDER)
    missing = tuple(part for part, needed in OPTIONAL.items() if needed not in installed)
    (point,) = [one for one in entry_points(group="apache_airflow_provider") if one.module.startswith(PROVIDER)]
    documents = importlib.import_module(f"{PROVIDER}.client.documents")
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

    hook: Any = ProvidersManagerTaskRuntime().hooks["saagie"]
    found = {
        "folder": str(package.__path__[0]),
        "prefix": sys.prefix,
        "beyond_airflow": sorted(installed.keys() - needed_by("apache-airflow") - {"pip", "setuptools"}),
        "info": point.load()(),
        "hook": f"{hook.hook_class_name} by {hook.package_name}",
        "names": [name for name in package.__all__ if getattr(package, name) is not None],
        "modules": [name for name in modules(but=missing) if loads(name)],
        "emulator_output": emulator_output() if "emulator" in missing else "",
        "documents": [name for name in documents.operation_names() if documents.document(name).text],
    }
    Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
