"""The contents of the sdist and of the wheel, and what a package index shows of them."""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.integration.package.conftest import ROOT, Built, build, committed_files, run

pytestmark = pytest.mark.long
PACKAGE = "airflow_provider_saagie"
# What a module reads at run time, with the least number of files: only a wheel can lack it.
DATA = {
    "py.typed": 1,
    "client/graphql/*.graphql": 8,
    "emulator/schema/*.graphql": 2,
    "emulator/templates/*.html": 8,
    "emulator/static/*.css": 1,
    "emulator/static/*.js": 2,
    "emulator/static/*.svg": 1,
}


def test_wheel_and_sdist_have_what_git_has(built: Built) -> None:
    tracked = {str(file.relative_to(ROOT)) for file in committed_files()}
    metadata = f"{PACKAGE}-{built.wheel.name.split('-')[1]}.dist-info"
    beside = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE")
    with zipfile.ZipFile(built.wheel) as wheel:
        names = set(wheel.namelist())
    modules = {name for name in tracked if name.startswith(f"{PACKAGE}/")}
    assert names == modules | {f"{metadata}/{name}" for name in beside}
    for pattern, least in DATA.items():
        assert sum(Path(name).match(f"{PACKAGE}/{pattern}") for name in names) >= least, pattern

    with tarfile.open(built.sdist) as sdist:
        held = {name.partition("/")[2] for name in sdist.getnames()}
    assert held - tracked == {"PKG-INFO"}
    assert {name.split("/")[0] for name in tracked - held} <= {".ci", ".dockerignore", ".github"}


def test_checkout_and_sdist_give_same_wheel(built: Built, tmp_path: Path) -> None:
    build(ROOT, tmp_path, "--wheel")
    assert (tmp_path / built.wheel.name).read_bytes() == built.wheel.read_bytes()


def test_index_accepts_both_and_shows_metadata_and_readme(built: Built, tmp_path: Path) -> None:
    output = run(sys.executable, "-m", "twine", "check", "--strict", built.sdist, built.wheel, cwd=tmp_path)
    assert output.count("PASSED") == 2
    with zipfile.ZipFile(built.wheel) as archive:
        (file,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        text = archive.read(file).decode()
    metadata = Parser().parsestr(text)
    assert metadata["Name"] == "airflow-provider-saagie"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata.get_all("License-File", [])) == {"LICENSE", "NOTICE"}
    assert set(metadata.get_all("Provides-Extra", [])) == {"cluster", "emulator", "openlineage", "dev"}

    readme = text.partition("\n\n")[2]
    assert readme.startswith("# airflow-provider-saagie\n")
    assert not [target for target in re.findall(r"\]\(([^)]*)\)", readme) if not target.startswith("https://")]
    assert "Picture: The DAG in Airflow, green, with the job's lines in the log of the task" in readme
    assert "the operators (`docs/operators.md`)" in readme
    assert "\n\nInto the environment of your Airflow:\n\n```console\npip install airflow-provider-saagie\n```" in readme
    assert "pip install '." not in readme
