"""Makes a release: version, changelog, sdist, wheel, commit and tag. Run by `make release VERSION=1.2.3`."""

from __future__ import annotations

import argparse
import datetime as dt
import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BRANCH = "main"
VERSION_FILE = Path("airflow_provider_saagie") / "__init__.py"
CHANGELOG = Path("CHANGELOG.md")
NUMBER = r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
VERSION_LINE = re.compile(rf'^__version__ = "(?P<version>{NUMBER})"$', re.MULTILINE)
HEADING = "## Unreleased"
RELEASED = re.compile(rf"^## (?P<version>{NUMBER}) - \d{{4}}-\d\d-\d\d$", re.MULTILINE)


class Refused(Exception):
    """There is no release, for this reason; the checkout is as it was."""


@dataclass(frozen=True, order=True)
class Version:
    """Three numbers, as Semantic Versioning orders them."""

    major: int
    minor: int
    patch: int

    @classmethod
    def read(cls, text: str) -> Version:
        """Read `1.2.3`."""
        if not (found := re.fullmatch(NUMBER, text)):
            raise Refused(f"{text!r} is no version: three numbers are needed, as in VERSION=1.2.3.")
        return cls(*map(int, found.groups()))

    def __str__(self) -> str:
        """Give `1.2.3`."""
        return f"{self.major}.{self.minor}.{self.patch}"


def run(*command: str, root: Path) -> str:
    """Run a program in the checkout and give what it says.

    :raises Refused: it failed; what it said is in the message.
    """
    done = subprocess.run(command, cwd=root, check=False, capture_output=True, text=True)
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        raise Refused(f"`{' '.join(command)}` failed:\n{said}")
    return done.stdout


def check_checkout(root: Path) -> None:
    """See to it that what is released is what stands on the branch, and nothing else."""
    branch = run("git", "branch", "--show-current", root=root).strip()
    if branch != BRANCH:
        raise Refused(f"Releases are made on {BRANCH}, and this is {branch or 'no branch'}.")
    if changed := run("git", "status", "--porcelain", root=root).rstrip():
        raise Refused(f"There are changes that are not committed:\n{changed}")


def released(root: Path) -> set[Version]:
    """Give the versions that are out, by the tags and by the changelog: a clone may lack the tags."""
    tags = re.findall(rf"^v({NUMBER})$", run("git", "tag", root=root), re.MULTILINE)
    dated = RELEASED.finditer((root / CHANGELOG).read_text(encoding="utf-8"))
    return {Version.read(tag[0]) for tag in tags} | {Version.read(one["version"]) for one in dated}


def current_version(root: Path) -> Version:
    """Read the version that the package says it has."""
    found = VERSION_LINE.search((root / VERSION_FILE).read_text(encoding="utf-8"))
    if not found:
        raise Refused(f'{VERSION_FILE} has no line of the form `__version__ = "1.2.3"`.')
    return Version.read(found["version"])


def check_version(version: Version, root: Path) -> None:
    """See to it that the version is above all that are out; the first may be the one that the package has already."""
    highest = max(released(root), default=None)
    if highest is not None and version <= highest:
        raise Refused(f"{version} does not rise: {highest} is out.")
    if version < (current := current_version(root)):
        raise Refused(f"{version} does not rise: the package is at {current} already.")


def check_changelog(root: Path) -> None:
    """See to it that the changelog says what is new."""
    text = (root / CHANGELOG).read_text(encoding="utf-8")
    _, heading, rest = text.partition(f"\n{HEADING}\n")
    if not heading:
        raise Refused(f"{CHANGELOG} has no section `{HEADING}`: write there what users notice.")
    section = re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    if not re.search(r"^- \S", section, re.MULTILINE):
        raise Refused(f"The section `{HEADING}` of {CHANGELOG} lists nothing: write there what users notice.")


@contextmanager
def undone_on_failure(root: Path) -> Iterator[None]:
    """Go back to where the branch was if something goes wrong, so that the same command can be given again."""
    before = run("git", "rev-parse", "HEAD", root=root).strip()
    try:
        yield
    except BaseException:
        run("git", "reset", "--quiet", "--soft", before, root=root)
        run("git", "restore", "--staged", "--worktree", str(VERSION_FILE), str(CHANGELOG), root=root)
        raise


def write(version: Version, today: dt.date, root: Path) -> None:
    """Set the version, and the changelog's heading."""
    source = (root / VERSION_FILE).read_text(encoding="utf-8")
    (root / VERSION_FILE).write_text(VERSION_LINE.sub(f'__version__ = "{version}"', source), encoding="utf-8")
    changes = (root / CHANGELOG).read_text(encoding="utf-8")
    dated = changes.replace(f"\n{HEADING}\n", f"\n## {version} - {today.isoformat()}\n", 1)
    (root / CHANGELOG).write_text(dated, encoding="utf-8")


def build(version: Version, root: Path) -> list[Path]:
    """Build the sdist, and the wheel from it, check both as an index would, and put them into `dist/`.

    :return: the two files, relative to the checkout.
    """
    (root / "dist").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root / "dist") as fresh:  # old files in `dist/` are not looked at
        # The back end is the environment's, at the version of constraints.txt: a release doesn't change with the day.
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", fresh, ".", root=root)
        made = sorted(Path(fresh).iterdir())
        if not made or any(f"-{version}" not in file.name for file in made):
            raise Refused(f"The build made {[file.name for file in made]}, which is not version {version}.")
        run(sys.executable, "-m", "twine", "check", "--strict", *map(str, made), root=root)
        return [file.replace(root / "dist" / file.name).relative_to(root) for file in made]


def release(version: Version, today: dt.date, root: Path) -> list[Path]:
    """Check, write, build, commit and tag.

    :return: what is to be uploaded.
    :raises Refused: there is no release, and nothing has changed.
    """
    check_checkout(root)
    check_version(version, root)
    check_changelog(root)
    with undone_on_failure(root):
        write(version, today, root)
        files = build(version, root)
        run("git", "commit", "--message", f"Release {version}", str(VERSION_FILE), str(CHANGELOG), root=root)
        run("git", "tag", "--annotate", f"v{version}", "--message", f"Release {version}", root=root)
    return files


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="make release", description="Makes a release; uploads and pushes nothing.")
    parser.add_argument("version", help="the new version, as in 1.2.3")
    root = Path.cwd()
    try:
        version = Version.read(parser.parse_args().version)
        files = release(version, dt.datetime.now(dt.UTC).date(), root)
    except Refused as reason:
        print(f"No release. {reason}", file=sys.stderr)
        return 1
    print(f"Version {version} is built, committed and tagged. Nothing has left this machine; what remains is:\n")
    print(f"  git push --atomic origin {BRANCH} v{version}")
    print(f"  {Path(sys.executable).relative_to(root) if Path(sys.executable).is_relative_to(root) else 'python'}"
          f" -m twine upload {' '.join(map(str, files))}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
