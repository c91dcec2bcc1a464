"""What is in the sdist and in the wheel, and what a package index shows of them."""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.package.conftest import ROOT, build, run
from tests.tools.test_repository import committed_files

if TYPE_CHECKING:
    from tests.integration.package.conftest import Built

pytestmark = pytest.mark.long
PACKAGE = "airflow_provider_saagie"
# What a module reads at run time: left out of a wheel it is missed only there.
DATA = {
    "py.typed": 1,
    "client/graphql/*.graphql": 8,
    "emulator/schema/*.graphql": 2,
    "emulator/templates/*.html": 8,
    "emulator/static/*.css": 1,
    "emulator/static/*.js": 2,
    "emulator/static/*.svg": 1,
}


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def tracked() -> set[str]:
    return {str(file.relative_to(ROOT)) for file in committed_files()}


def test_the_wheel_is_the_packages_folder_and_what_describes_it(built: Built) -> None:
    version = built.wheel.name.split("-")[1]
    beside = {
        f"{PACKAGE}-{version}.dist-info/{name}"
        for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE")
    }
    assert names(built.wheel) == {name for name in tracked() if name.startswith(f"{PACKAGE}/")} | beside


@pytest.mark.parametrize("pattern", DATA)
def test_the_wheel_has_what_is_read_at_run_time(built: Built, pattern: str) -> None:
    found = [name for name in names(built.wheel) if Path(name).match(f"{PACKAGE}/{pattern}")]
    assert len(found) >= DATA[pattern]


def test_the_sdist_is_the_repository_without_what_its_host_reads(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert held - tracked() == {"PKG-INFO"}
    assert {name.split("/")[0] for name in tracked() - held} <= {".ci", ".dockerignore", ".github"}


def test_the_checkout_and_the_sdist_give_the_same_wheel(built: Built, tmp_path: Path) -> None:
    build(ROOT, tmp_path, "--wheel")
    assert (tmp_path / built.wheel.name).read_bytes() == built.wheel.read_bytes()


def test_an_index_would_take_both_and_show_the_readme(built: Built, tmp_path: Path) -> None:
    said = run(sys.executable, "-m", "twine", "check", "--strict", built.sdist, built.wheel, cwd=tmp_path)
    assert said.count("PASSED") == 2


def test_what_the_wheel_says_of_itself(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        (file,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        said = Parser().parsestr(archive.read(file).decode())
    assert said["Name"] == "airflow-provider-saagie"
    assert said["License-Expression"] == "Apache-2.0"
    assert set(said.get_all("License-File", [])) == {"LICENSE", "NOTICE"}
    assert set(said.get_all("Provides-Extra", [])) == {"cluster", "emulator", "openlineage", "dev"}


def test_an_index_shows_what_it_has(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        (file,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        said = archive.read(file).decode().partition("\n\n")[2]
    assert said.startswith("# airflow-provider-saagie\n")
    assert not [target for target in re.findall(r"\]\(([^)]*)\)", said) if not target.startswith("https://")]
    assert "Picture: The DAG in Airflow, green, with the job's lines in the log of the task" in said
    assert "the operators (`docs/operators.md`)" in said
    assert "\n\nInto the environment of your Airflow:\n\n```console\npip install airflow-provider-saagie\n```" in said
    assert "pip install '." not in said
