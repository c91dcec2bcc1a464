"""What an actor believes to be on the platform after each of its mutations, and what is really there."""

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
      instances {
        id number history { currentStatus { status reason } statuses { status } }
      }
    }
  }
  projects { id name technologiesByCategory { technologies { id } } }
}
"""
RIGHTS = "query rights($id: UUID!) { rights(projectId: $id) { name role } }"


@dataclass(frozen=True, slots=True)
class JobBook:
    """A job.

    :param description: changed by `editJob`.
    :param versions: each version's command line, oldest first; the file that came with it follows from it.
    :param numbers: the numbers of the instances that are kept.
    :param stopped: those of them that were stopped.
    :param runs: how many were ever started.
    """

    description: str | None
    versions: tuple[str, ...]
    numbers: frozenset[int] = frozenset()
    stopped: frozenset[int] = frozenset()
    runs: int = 0


@dataclass(frozen=True)
class Books:
    """What is on the platform of an actor's own: jobs by their names, and further projects."""

    jobs: dict[str, JobBook] = field(default_factory=dict)
    projects: frozenset[str] = frozenset()


def content_of(command: str) -> bytes:
    """Tell which file belongs to a command line; some are larger than what a pipe or a page holds."""
    marker = int(command.rpartition(" ")[2])
    return f"# {command}\n{'x' * (marker % 7 * 9_000)}\n".encode().replace(b"\nx", b"\n#x")


def read_books(platform: Platform, project_id: str, prefix: str, believed: Books) -> Books:
    """Read what is really there, and check that nothing of it is half there.

    :param project_id: the actor's project.
    :param prefix: with what the names of its further projects begin.
    :param believed: from here the number of runs is taken, as far as no instance says more.
    """
    found = platform.read(PROJECT, {"id": project_id})
    jobs = {}
    for job in found["project"]["jobs"]:
        versions = sorted(job["versions"], key=lambda one: one["number"])
        assert [one["isCurrent"] for one in versions] == [False] * (len(versions) - 1) + [True], job
        assert [one["number"] for one in versions] == list(range(1, len(versions) + 1)), job
        assert {one["packageInfo"]["name"] for one in versions} == {"job.sh"}, job
        numbers = frozenset(one["number"] for one in job["instances"])
        assert len(numbers) == len(job["instances"])
        for one in job["instances"]:
            check_life(one)
        known = believed.jobs.get(job["name"])
        jobs[job["name"]] = JobBook(
            description=job["description"],
            versions=tuple(one["commandLine"] for one in versions),
            numbers=numbers,
            stopped=frozenset(one["number"] for one in job["instances"] if status_of(one) in ("KILLING", "KILLED")),
            runs=max([known.runs if known else 0, *numbers]),
        )
    further = {one["name"]: one for one in found["projects"] if one["name"].startswith(prefix)}
    for one in further.values():
        assert [len(each["technologies"]) for each in one["technologiesByCategory"]] == [1, 1, 1], one
        assert len(platform.read(RIGHTS, {"id": one["id"]})["rights"]) == 2, one
    return Books(jobs, frozenset(further))


def check_files(platform: Platform, project_id: str) -> int:
    """Download each file and compare it with what was uploaded.

    :return: how many there are.
    """
    count = 0
    for job in platform.read(PROJECT, {"id": project_id})["project"]["jobs"]:
        for version in job["versions"]:
            content = platform.download(version["packageInfo"]["downloadUrl"])
            assert content == content_of(version["commandLine"]), version
            count += 1
    return count


def all_instances(platform: Platform, project_id: str) -> list[dict[str, Any]]:
    """List the instances of all jobs of a project."""
    jobs = platform.read(PROJECT, {"id": project_id})["project"]["jobs"]
    return [one for job in jobs for one in job["instances"]]


def check_life(instance: dict[str, Any]) -> None:
    """Check that an instance went only where the table of states lets it go."""
    history = [Status(one["status"]) for one in instance["history"]["statuses"]]
    assert history[0] is Status.AWAITING, instance
    assert all(later in TRANSITIONS[earlier] for earlier, later in itertools.pairwise(history)), instance
    assert status_of(instance) in history, instance


def status_of(instance: dict[str, Any]) -> str:
    """Tell an instance's status."""
    return str(instance["history"]["currentStatus"]["status"])


def reason_of(instance: dict[str, Any]) -> str | None:
    """Tell why an instance is what it is."""
    reason: str | None = instance["history"]["currentStatus"]["reason"]
    return reason


def processes_in(data: Path) -> list[int]:
    """List the processes of jobs of a data folder: a job's HOME lies in it."""
    mark = f"HOME={data.resolve()}/work/".encode()
    return [int(entry.parent.name) for entry in Path("/proc").glob("[0-9]*/environ") if mark in _content(entry)]


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
