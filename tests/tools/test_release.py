"""`make release` in a temporary clone: what it refuses, what it leaves behind, and that nothing leaves the machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.package.conftest import ROOT

pytestmark = pytest.mark.long  # a clone each, and builds
CHANGELOG, VERSION_FILE = "CHANGELOG.md", "airflow_provider_saagie/__init__.py"
NOTHING_NEW = "# Changelog\n\n## Unreleased\n\n"
WRITTEN = "# Changelog\n\nFor users.\n\n## Unreleased\n\n### Added\n\n- Something.\n"
FIRST = "0.1.0"


@dataclass(frozen=True)
class Clone:
    """A clone of this checkout, as it is now, on a branch `main` of its own, at version 0.1.0."""

    folder: Path

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        self.git("add", name)
        self.git("commit", "--quiet", "--allow-empty", "--message", f"Change {name}")

    def release(self, version: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "scripts.release", version],
            cwd=self.folder, check=False, capture_output=True, text=True,
        )  # fmt: skip

    def state(self) -> tuple[str, ...]:
        """What a refused release must leave as it was."""
        return (self.git("rev-parse", "HEAD"), self.git("tag"), self.git("status", "--porcelain"))


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A clone, with what a release is made by as it stands here, committed or not: a change is tested at once."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--no-tags", str(ROOT), str(folder)], check=True)
    made = Clone(folder)
    made.git("config", "user.name", "Tests")
    made.git("config", "user.email", "tests@localhost")
    made.git("switch", "--quiet", "--force-create", "main")
    for name in ("scripts/release.py", "pyproject.toml", "NOTICE"):
        shutil.copy(ROOT / name, folder / name)
    source = (ROOT / VERSION_FILE).read_text()
    version = next(line for line in source.splitlines() if line.startswith("__version__"))
    (folder / VERSION_FILE).write_text(source.replace(version, f'__version__ = "{FIRST}"'))
    made.git("add", "--all")
    made.write(CHANGELOG, WRITTEN)
    return made


def refused(clone: Clone, version: str) -> str:
    """Give the reason; whatever it is, nothing may have changed."""
    before = clone.state()
    done = clone.release(version)
    assert done.returncode == 1, done.stdout + done.stderr
    assert clone.state() == before
    assert done.stdout == ""
    assert done.stderr.startswith("No release. ")
    return done.stderr


@pytest.mark.parametrize("change", ["changed", "staged", "new"])
def test_a_dirty_tree_is_refused(clone: Clone, change: str) -> None:
    name = "new.txt" if change == "new" else "README.md"
    with (clone.folder / name).open("a") as file:
        file.write("more\n")
    if change == "staged":
        clone.git("add", name)
    assert name in refused(clone, FIRST)


def test_another_branch_is_refused(clone: Clone) -> None:
    clone.git("switch", "--quiet", "--create", "fix")
    assert "made on main, and this is fix" in refused(clone, FIRST)
    clone.git("switch", "--quiet", "--detach")
    assert "this is no branch" in refused(clone, FIRST)


@pytest.mark.parametrize(
    "text",
    [
        "# Changelog\n\n## 0.0.9 - 2026-01-01\n\n- Old.\n",
        NOTHING_NEW,
        f"{NOTHING_NEW}### Added\n\n## 0.0.9 - 2026-01-01\n\n- Old.\n",
    ],
    ids=["no section", "an empty section", "only an old entry"],
)
def test_an_unwritten_changelog_is_refused(clone: Clone, text: str) -> None:
    clone.write(CHANGELOG, text)
    assert "write there what users notice" in refused(clone, FIRST)


@pytest.mark.parametrize("version", ["1.2", "v1.2.3", "1.2.3rc1", "01.2.3", "latest", ""])
def test_what_is_no_version_is_refused(clone: Clone, version: str) -> None:
    assert "three numbers are needed" in refused(clone, version)


def test_a_version_below_the_packages_is_refused(clone: Clone) -> None:
    assert "the package is at 0.1.0 already" in refused(clone, "0.0.9")


@pytest.mark.parametrize("version", ["0.1.9", "0.1.10"])
def test_a_version_that_is_out_by_the_tags_is_refused(clone: Clone, version: str) -> None:
    """Numbers count, not letters: 0.1.9 is below 0.1.10."""
    clone.git("tag", "v0.1.10")
    assert "0.1.10 is out" in refused(clone, version)


def test_a_version_that_is_out_by_the_changelog_is_refused(clone: Clone) -> None:
    """A clone without tags knows no other way."""
    clone.write(CHANGELOG, f"{WRITTEN}\n## 0.2.0 - 2026-01-01\n\n- Old.\n")
    assert "0.2.0 is out" in refused(clone, "0.2.0")


def test_a_build_that_fails_is_refused(clone: Clone) -> None:
    project = (clone.folder / "pyproject.toml").read_text()
    clone.write("pyproject.toml", project.replace('{ path = "README.md" }', '{ path = "NO-SUCH-FILE.md" }'))
    assert "NO-SUCH-FILE.md" in refused(clone, FIRST)


def test_what_an_index_would_not_show_is_refused(clone: Clone) -> None:
    project = (clone.folder / "pyproject.toml").read_text()
    plain = project.replace("text/markdown", "text/x-rst").replace(
        '{ path = "README.md" }', '{ text = "A title\\n===\\n\\n.. no-such-thing::" }'
    )
    clone.write("pyproject.toml", plain)
    assert "twine check" in refused(clone, FIRST)


def test_a_commit_or_a_tag_that_fails_is_refused(clone: Clone) -> None:
    hook = clone.folder / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    assert "not today" in refused(clone, FIRST)
    hook.unlink()
    clone.git("config", "tag.gpgSign", "true")
    clone.git("config", "gpg.program", "/bin/false")
    assert "git tag" in refused(clone, FIRST)


def test_a_release_is_built_committed_and_tagged_and_the_rest_is_told(clone: Clone) -> None:
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
    assert "write there what users notice" in refused(clone, "0.3.0")
