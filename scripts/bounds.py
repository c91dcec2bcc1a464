"""Tells pip what `make test-bounds BOUNDS=lowest` installs: the lower bounds of pyproject.toml, and Airflow's pins."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The packages of Airflow 3.0.0's time; what we bound ourselves is taken from pyproject.toml instead.
PINS = ROOT / "tests" / "system" / "stack" / "versions" / "airflow-3.0.0.txt"
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,]+\])?>=(?P<version>[\d.]+)")
PARTS = ("emulator", "openlineage")
# Pins that are as new as they can be since only we bring these packages, and too new beside the lowest aiohttp.
FREED = {"aiohappyeyeballs", "aiosignal", "frozenlist", "multidict", "propcache", "yarl"}


def normalised(name: str) -> str:
    """Give a distribution's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lowest() -> dict[str, str]:
    """Give the lowest version of each of our own dependencies, by its name.

    :raises ValueError: a dependency has another bound than one `>=`, so that nothing tells which version to test.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    found = {}
    for text in [*project["dependencies"], *(text for part in PARTS for text in extras[part])]:
        bound = REQUIREMENT.fullmatch(text)
        if bound is None:
            raise ValueError(f"{text!r} in pyproject.toml is not of the form name>=version.")
        found[normalised(bound["name"])] = bound["version"]
    return found


def main() -> None:
    """Print constraints for pip."""
    ours = lowest()
    for line in PINS.read_text(encoding="utf-8").splitlines():
        name = normalised(line.partition("==")[0])
        if "==" in line and name not in ours.keys() | FREED:
            print(line)
    for name, version in ours.items():
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
