"""What an actor believes to be on the platform after each of its mutations, and what is there."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.emulator.states import TRANSITIONS, Status

if TYPE_CHECKING:
    from tests.integration.emulator.endurance.platform import Platform

PROJECT = """
query books($id: UUID!) {
  project(id: $id) {
    jobs {
      id name description
      versions { number commandLine isCurrent packageInfo { name downloadUrl } }
      instances { id number history { currentStatus { status reason } statuses { status } } }
    }
  }
  projects { id name technologiesByCategory { technologies { id } } }
}
"""
RIGHTS = "query rights($id: UUID!) { rights(projectId: $id) { name role } }"


@dataclass(frozen=True, slots=True)
class JobBook:
    """A job.

    :param versions: each version's command line, oldest first; `content_of` it is the version's file.
    :param numbers: the numbers of its instances, of which `stopped` were stopped.
    :param runs: how many instances were ever started.
    """

    description: str | None
    versions: tuple[str, ...]
    numbers: frozenset[int] = frozenset()
    stopped: frozenset[int] = frozenset()
    runs: int = 0


@dataclass(frozen=True)
class Books:
    """Jobs by their names, and the names of further projects."""

    jobs: dict[str, JobBook] = field(default_factory=dict)
    projects: frozenset[str] = frozenset()


def content_of(command: str) -> bytes:
    """Return the file that belongs to a command line; some are larger than a pipe or a page."""
    marker = int(command.rpartition(" ")[2])
    return f"# {command}\n{'x' * (marker % 7 * 9_000)}\n".encode().replace(b"\nx", b"\n#x")


def read_books(platform: Platform, project_id: str, prefix: str, believed: Books) -> Books:
    """Read what is there, and check that nothing is half there.

    :param prefix: the beginning of the names of the actor's further projects.
    :param believed: tells the number of runs if no instance has a higher number.
    """
    found = platform.read(PROJECT, {"id": project_id})
    jobs = {}
    for job in found["project"]["jobs"]:
        versions = sorted(job["versions"], key=lambda one: one["number"])
        last = len(versions)
        assert [(one["number"], one["isCurrent"]) for one in versions] == [(n + 1, n + 1 == last) for n in range(last)]
        assert {one["packageInfo"]["name"] for one in versions} == {"job.sh"}, job
        numbers = frozenset(one["number"] for one in job["instances"])
        assert len(numbers) == len(job["instances"])
        for one in job["instances"]:
            history = [Status(each["status"]) for each in one["history"]["statuses"]]
            assert history[0] is Status.AWAITING, one
            assert all(later in TRANSITIONS[earlier] for earlier, later in itertools.pairwise(history)), one
            assert status_of(one) in history, one
        known = believed.jobs.get(job["name"])
        jobs[job["name"]] = JobBook(
            description=job["description"],
            versions=tuple(one["commandLine"] for one in versions),
            numbers=numbers,
            stopped=frozenset(one["number"] for one in job["instances"] if status_of(one) in ("KILLING", "KILLED")),
            runs=max([known.runs if known else 0, *numbers]),
        )
    further = [one for one in found["projects"] if one["name"].startswith(prefix)]
    for one in further:
        assert [len(each["technologies"]) for each in one["technologiesByCategory"]] == [1, 1, 1], one
        assert len(platform.read(RIGHTS, {"id": one["id"]})["rights"]) == 2, one
    return Books(jobs, frozenset(one["name"] for one in further))


def check_files(platform: Platform, project_id: str) -> int:
    """Download each file and compare it with the upload; return their number."""
    jobs = platform.read(PROJECT, {"id": project_id})["project"]["jobs"]
    versions = [version for job in jobs for version in job["versions"]]
    for version in versions:
        content = platform.download(version["packageInfo"]["downloadUrl"])
        assert content == content_of(version["commandLine"]), version
    return len(versions)


def all_instances(platform: Platform, project_id: str) -> list[dict[str, Any]]:
    jobs = platform.read(PROJECT, {"id": project_id})["project"]["jobs"]
    return [one for job in jobs for one in job["instances"]]


def status_of(instance: dict[str, Any]) -> str:
    return str(instance["history"]["currentStatus"]["status"])


def processes_in(data: Path) -> list[int]:
    """List the processes of jobs of a data folder: their HOME is in it."""
    mark = f"HOME={data.resolve()}/work/".encode()
    return [int(entry.parent.name) for entry in Path("/proc").glob("[0-9]*/environ") if mark in _content(entry)]


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
