"""`make release` in a temporary clone: what it refuses, what it leaves behind, and that nothing leaves the machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.support.pages import ROOT

pytestmark = pytest.mark.timeout(900)

CHANGELOG, VERSION_FILE, PROJECT = "CHANGELOG.md", "airflow_provider_saagie/__init__.py", "pyproject.toml"
NOTHING_NEW = "# Changelog\n\n## Unreleased\n\n"
WRITTEN = "# Changelog\n\nFor users.\n\n## Unreleased\n\n### Added\n\n- Something.\n"
OLD = "## {} - 2026-01-01\n\n- Old.\n"
UNWRITTEN = "write there what users notice"
FIRST = "0.1.0"
README = '{ path = "README.md" }'


@dataclass(frozen=True)
class Clone:
    """A clone of this checkout, as it is now, on a branch `main` of its own, at version 0.1.0."""

    folder: Path

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def append(self, name: str) -> None:
        with (self.folder / name).open("a") as file:
            file.write("more\n")

    def write(self, name: str, text: str) -> None:
        """Write a file and commit it."""
        (self.folder / name).write_text(text)
        self.git("add", name)
        self.git("commit", "--quiet", "--allow-empty", "--message", f"Change {name}")

    def edit_project(self, **replaced: str) -> None:
        project = (self.folder / PROJECT).read_text().replace(README, replaced["readme"])
        self.write(PROJECT, project.replace("text/markdown", replaced.get("type", "text/markdown")))

    def install_hook(self) -> None:
        hook = self.folder / ".git" / "hooks" / "pre-commit"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
        hook.chmod(0o755)

    def sign_tags_in_vain(self) -> None:
        (self.folder / ".git" / "hooks" / "pre-commit").unlink()
        self.git("config", "tag.gpgSign", "true")
        self.git("config", "gpg.program", "/bin/false")

    def release(self, version: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "scripts.release", version]
        return subprocess.run(command, cwd=self.folder, check=False, capture_output=True, text=True)

    def state(self) -> tuple[str, ...]:
        """Return what a refused release must leave unchanged."""
        return (self.git("rev-parse", "HEAD"), self.git("tag"), self.git("status", "--porcelain"))

    def is_refused(self, version: str, reason: str) -> None:
        """Check that a release is refused for the reason, and that nothing has changed."""
        before = self.state()
        done = self.release(version)
        assert done.returncode == 1, (version, reason, done.stdout, done.stderr)
        assert self.state() == before, reason
        assert (done.stdout, done.stderr[:12]) == ("", "No release. "), reason
        assert reason in done.stderr, version


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A clone with the files that make a release as they are here, committed or not."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is not a git checkout")
    folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--no-tags", str(ROOT), str(folder)], check=True)
    made = Clone(folder)
    made.git("config", "user.name", "Tests")
    made.git("config", "user.email", "tests@localhost")
    made.git("switch", "--quiet", "--force-create", "main")
    for name in ("scripts/release.py", PROJECT, "NOTICE"):
        shutil.copy(ROOT / name, folder / name)
    source = (ROOT / VERSION_FILE).read_text()
    version = next(line for line in source.splitlines() if line.startswith("__version__"))
    (folder / VERSION_FILE).write_text(source.replace(version, f'__version__ = "{FIRST}"'))
    made.git("add", "--all")
    made.write(CHANGELOG, WRITTEN)
    return made


def stage(clone: Clone) -> None:
    clone.append("README.md")
    clone.git("add", "README.md")


# What is done to the clone, which version is then to be released, and the reason of the refusal.
REFUSED: list[tuple[Callable[[Clone], object], str, str]] = [
    (lambda clone: clone.append("README.md"), FIRST, "README.md"),
    (stage, FIRST, "README.md"),
    (lambda clone: clone.append("new.txt"), FIRST, "new.txt"),
    (lambda clone: clone.git("switch", "--quiet", "--create", "fix"), FIRST, "made on main, and this is fix"),
    (lambda clone: clone.git("switch", "--quiet", "--detach"), FIRST, "this is no branch"),
    (lambda clone: clone.write(CHANGELOG, f"# Changelog\n\n{OLD.format('0.0.9')}"), FIRST, UNWRITTEN),
    (lambda clone: clone.write(CHANGELOG, NOTHING_NEW), FIRST, UNWRITTEN),
    (lambda clone: clone.write(CHANGELOG, f"{NOTHING_NEW}### Added\n\n{OLD.format('0.0.9')}"), FIRST, UNWRITTEN),
    *((str, version, "three numbers are needed") for version in ("1.2", "v1.2.3", "1.2.3rc1", "01.2.3", "latest", "")),
    (str, "0.0.9", "the package is at 0.1.0 already"),
    (lambda clone: clone.write(CHANGELOG, f"{WRITTEN}\n{OLD.format('0.2.0')}"), "0.2.0", "0.2.0 is out"),
    # Numbers count, not letters: 0.1.9 is below 0.1.10.
    *(
        (lambda clone: clone.git("tag", "--force", "v0.1.10"), version, "0.1.10 is out")
        for version in ("0.1.9", "0.1.10")
    ),
]


def test_release_is_refused_and_changes_nothing(clone: Clone) -> None:
    good = clone.git("rev-parse", "HEAD")
    for change, version, reason in REFUSED:
        change(clone)
        clone.is_refused(version, reason)
        clone.git("switch", "--quiet", "--force-create", "main", good)
        clone.git("reset", "--quiet", "--hard")
        clone.git("clean", "--quiet", "--force")


def test_release_is_refused_after_failed_build_or_commit(clone: Clone) -> None:
    bad_text = '{ text = "A title\\n===\\n\\n.. no-such-thing::" }'
    failures: list[tuple[Callable[[], None], str]] = [
        (partial(clone.edit_project, readme='{ path = "NO-SUCH-FILE.md" }'), "NO-SUCH-FILE.md"),
        (partial(clone.edit_project, readme=bad_text, type="text/x-rst"), "twine check"),
        (clone.install_hook, "not today"),
        (clone.sign_tags_in_vain, "git tag"),
    ]
    good = clone.git("rev-parse", "HEAD")
    for change, reason in failures:
        change()
        clone.is_refused(FIRST, reason)
        clone.git("reset", "--quiet", "--hard", good)


def test_release_is_built_committed_and_tagged(clone: Clone) -> None:
    remote = clone.git("ls-remote", "origin")
    done = clone.release("0.2.0")
    assert done.returncode == 0, done.stderr
    dist, stem = clone.folder / "dist", "airflow_provider_saagie-0.2.0"
    wheel, sdist = dist / f"{stem}-py3-none-any.whl", dist / f"{stem}.tar.gz"
    with zipfile.ZipFile(wheel) as archive:
        assert '__version__ = "0.2.0"' in archive.read(VERSION_FILE).decode()
    assert {file.name for file in dist.iterdir()} == {wheel.name, sdist.name}
    assert clone.git("status", "--porcelain") == ""
    assert clone.git("log", "-1", "--format=%s") == "Release 0.2.0"
    assert clone.git("diff", "--name-only", "HEAD~1").split() == [CHANGELOG, VERSION_FILE]
    assert clone.git("rev-parse", "v0.2.0^{commit}") == clone.git("rev-parse", "HEAD")
    heading = next(line for line in (clone.folder / CHANGELOG).read_text().splitlines() if line.startswith("## "))
    assert heading.startswith("## 0.2.0 - 20")
    assert clone.git("ls-remote", "origin") == remote
    assert "git push --atomic origin main v0.2.0" in done.stdout
    assert f"twine upload dist/{wheel.name} dist/{sdist.name}" in done.stdout
    clone.is_refused("0.3.0", UNWRITTEN)
