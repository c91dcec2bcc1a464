"""The package as it is published: built once, and installed into an environment that has nothing of this checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.pages import ROOT


@dataclass(frozen=True)
class Built:
    """The results of `python -m build` for this checkout."""

    sdist: Path
    wheel: Path


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a program and return its stdout; if it fails, all its output is the test's message."""
    done = subprocess.run(command, cwd=cwd, env=env, check=False, capture_output=True, text=True)
    output = f"{' '.join(map(str, command))}\n{done.stdout[-8000:]}\n{done.stderr[-8000:]}"
    assert done.returncode == 0, output
    return done.stdout


def committed_files() -> list[Path]:
    """List what git has, and what it would add."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is not a git checkout")
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=ROOT)
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def build(source: Path, into: Path, *kinds: str) -> None:
    """Build with the back end that is installed here: nothing is downloaded."""
    run(sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", into, source, cwd=into)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sdist, and the wheel that is made from it."""
    folder = tmp_path_factory.mktemp("dist")
    build(ROOT, folder)
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    return Built(sdist, wheel)


@dataclass(frozen=True)
class Environment:
    """A Python environment with the wheel in it, and a working folder; nothing comes from the checkout.

    :param folder: of the virtual environment.
    :param home: an empty folder in which its programs run; Airflow's files are there too.
    """

    folder: Path
    home: Path

    @property
    def variables(self) -> dict[str, str]:
        """Its programs' environment variables: nothing of this process's Airflow, and no path to the checkout."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
        return kept | {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.home / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }

    def run(self, program: str, *arguments: str | Path) -> str:
        """Run one of its programs and return its stdout."""
        return run(self.folder / "bin" / program, *arguments, cwd=self.home, env=self.variables)

    def install(self, what: str) -> None:
        """Install with pip, at the versions of constraints.txt; uncompiled, which is quicker."""
        constraints = ROOT / "constraints.txt"
        self.run("python", "-m", "pip", "install", "--quiet", "--no-compile", "--constraint", constraints, what)

    def probe(self) -> dict[str, Any]:
        """Examine it with `probe.py`; with `-I` Python finds only what is installed."""
        file = self.home / "found.json"
        self.run("python", "-I", Path(__file__).with_name("probe.py"), file)
        found: dict[str, Any] = json.loads(file.read_text())
        return found


def make_environment(folder: Path) -> Environment:
    """Create an environment that has only pip."""
    environment = Environment(folder / "venv", folder / "home")
    venv.create(environment.folder, with_pip=True, symlinks=True)
    (environment.home / "dags").mkdir(parents=True)
    return environment


def unpack_examples(sdist: Path, into: Path) -> None:
    """Put the example DAGs of a sdist, and the jobs that they deploy, into a folder."""
    with tarfile.open(sdist) as archive:
        archive.extractall(into, filter="data")
    (unpacked,) = into.iterdir()
    for found in (unpacked / "example_dags").iterdir():
        shutil.move(found, into)
    shutil.rmtree(unpacked)
    shutil.rmtree(into / "tests")
