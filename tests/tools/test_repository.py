"""The repository as a whole: its pins, and what must not be in a committed file."""

from __future__ import annotations

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.integration.package.conftest import committed_files
from tests.support.pages import ROOT

PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9.!+]+)")
# Written so that this file doesn't match itself.
FORBIDDEN = {
    "the address of a package host": re.compile(r"https?://[\w.-]*(?:pypi|pythonhosted)\.(?:org|python)"),
    "a path of somebody's machine": re.compile(r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+)/\w"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE[ ]KEY-----"),
}


def test_constraints_pin_and_satisfy_each_dependency() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    matches = {line: PIN.fullmatch(line) for line in lines}
    assert not [line for line, pin in matches.items() if pin is None]
    pinned = {canonicalize_name(pin["name"]): pin["version"] for pin in matches.values() if pin}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [text for extra in project["optional-dependencies"].values() for text in extra]
    for requirement in map(Requirement, [*project["dependencies"], *extras]):
        name = canonicalize_name(requirement.name)
        if name != canonicalize_name(project["name"]):
            assert requirement.specifier.contains(pinned[name]), f"{name}=={pinned[name]} is not {requirement}"


def test_no_committed_file_has_forbidden_text() -> None:
    found = []
    for path in committed_files():
        text = path.read_text(encoding="utf-8", errors="ignore")
        found += [(what, path.name, hit[0]) for what, pattern in FORBIDDEN.items() for hit in pattern.finditer(text)]
    assert not found
