"""An actor: changes what is its own at random, one mutation at a time, and keeps books of it."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.emulator import catalogue
from tests.integration.emulator.endurance.books import Books, JobBook, check_files, content_of, read_books, status_of
from tests.integration.emulator.endurance.platform import Outcome, Platform

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_saagie.emulator.testing import Emulator

MOST_JOBS, MOST_VERSIONS, MOST_INSTANCES = 4, 4, 8
# What a job does; {n} makes each command line unique.
COMMANDS = ("true # {n}", "echo a; echo b >&2 # {n}", "sleep 0.3 # {n}", "exit 3 # {n}", "sleep 60 & sleep 60 # {n}")

CREATE_PROJECT = "mutation createProject($project: ProjectInput!) { createProject(project: $project) { id name } }"
DELETE_PROJECT = "mutation deleteProject($id: UUID!) { deleteProject(projectId: $id) }"
CREATE = """
mutation createJob($job: JobInput!, $version: JobVersionInput!, $file: Upload) {
  createJob(job: $job, jobVersion: $version, file: $file) { id }
}
"""
UPGRADE = """
mutation addJobVersion($id: UUID!, $version: JobVersionInput!, $file: Upload) {
  addJobVersion(jobId: $id, jobVersion: $version, file: $file) { number }
}
"""
EDIT = "mutation editJob($job: JobEditionInput!) { editJob(job: $job) { id } }"
DELETE = "mutation deleteJob($id: UUID!) { deleteJob(jobId: $id) }"
RUN = "mutation runJob($id: UUID!) { runJob(jobId: $id) { id number } }"
STOP = "mutation stopJobInstance($id: UUID!) { stopJobInstance(jobInstanceId: $id) { id } }"
PURGE = """
mutation deleteJobInstances($id: UUID!, $ids: [UUID!]) {
  deleteJobInstances(jobId: $id, jobInstanceIds: $ids) { id success }
}
"""
STATE = """
query state($id: UUID!) {
  project(id: $id) {
    jobs { id name instances { id number history { currentStatus { status } } } }
  }
  projects { id name }
}
"""
BASH = next(one.id for one in catalogue.technologies().values() if one.technology_id == "bash")


@dataclass(frozen=True, slots=True)
class Wish:
    """A mutation that an actor wants, and what its books are if it is done."""

    document: str
    variables: dict[str, Any]
    after: Books
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of an actor's journal.

    :param agent: what the mutation called itself.
    :param known: what the answer, or its lack, told.
    :param happened: whether it was done; for what was in doubt, by what was found afterwards.
    """

    agent: str
    operation: str
    known: Outcome
    happened: bool


class Actor:
    """An actor with a project of its own.

    :param emulator: the emulator.
    :param name: no other actor's name begins with it.
    :param seed: what makes its choices repeatable.
    """

    def __init__(self, emulator: Emulator, name: str, seed: int) -> None:
        self.platform = Platform(emulator, name)
        self.books = Books()
        self.journal: list[Entry] = []
        self._name = name
        self._random = random.Random(seed)
        self._numbers = itertools.count()
        self._doubt: Wish | None = None
        wish = CREATE_PROJECT, {"project": self._project(name)}
        outcome, data = self.platform.write(*wish)
        assert outcome is Outcome.DONE, "actors are made before anything goes wrong"
        self.project_id = str(data["createProject"]["id"])

    def step(self) -> Outcome:
        """Send one mutation at random and write down what is known of it."""
        assert self._doubt is None
        wish = self._choose()
        outcome, data = self.platform.write(wish.document, wish.variables, wish.content)
        if outcome is Outcome.DONE and "deleteJobInstances" in data:
            assert all(one["success"] for one in data["deleteJobInstances"]), data
        if outcome is Outcome.DOUBT:
            self._doubt = wish
        else:
            self._note(wish, outcome, happened=outcome is Outcome.DONE)
        return outcome

    def settle(self) -> None:
        """Compare what is there with the books; what was in doubt was done whole or not at all."""
        found = read_books(self.platform, self.project_id, f"{self._name} further", self.books)
        if self._doubt is not None:
            wish, self._doubt = self._doubt, None
            self._note(wish, Outcome.DOUBT, happened=found == wish.after)
        assert found == self.books, f"\nfound    {found}\nbelieved {self.books}"

    def check_files(self) -> int:
        """Compare each file with what was uploaded."""
        return check_files(self.platform, self.project_id)

    def counts(self) -> Counter[str]:
        """Count the journal's lines by what was known and what happened."""
        return Counter(f"{one.known}, {'done' if one.happened else 'not done'}" for one in self.journal)

    def _note(self, wish: Wish, known: Outcome, happened: bool) -> None:
        if happened:
            self.books = wish.after
        operation = wish.document.split("(")[0].split()[1]
        self.journal.append(Entry(self.platform.agent, operation, known, happened))

    def _choose(self) -> Wish:
        """Choose among what is possible now; an impossible choice is made again."""
        state = self.platform.read(STATE, {"id": self.project_id})
        jobs = {job["name"]: job for job in state["project"]["jobs"]}
        further = {one["name"]: one["id"] for one in state["projects"] if one["name"] in self.books.projects}
        choices: list[Callable[[], Wish | None]] = [
            self._create, self._create_project, lambda: self._delete_project(further),
            *[lambda: self._upgrade(jobs)] * 3, *[lambda: self._edit(jobs)] * 2, *[lambda: self._run(jobs)] * 6,
            *[lambda: self._stop(jobs)] * 3, *[lambda: self._purge(jobs)] * 3, lambda: self._delete(jobs),
        ]  # fmt: skip
        while True:
            wish = self._random.choice(choices)()
            if wish is not None:
                return wish

    def _create(self) -> Wish | None:
        if len(self.books.jobs) >= MOST_JOBS:
            return None
        command = self._command()
        name = f"job {next(self._numbers)}"
        job = {
            "projectId": self.project_id, "name": name, "category": "Processing", "isScheduled": False,
            "isStreaming": False, "technology": {"id": BASH}, "description": None,
        }  # fmt: skip
        return Wish(
            CREATE, {"job": job, "version": _version(command), "file": None},
            self._with(name, JobBook(None, (command,))), content_of(command),
        )  # fmt: skip

    def _upgrade(self, jobs: dict[str, Any]) -> Wish | None:
        name, book = self._any_job()
        if book is None or len(book.versions) >= MOST_VERSIONS:
            return None
        command = self._command()
        return Wish(
            UPGRADE, {"id": jobs[name]["id"], "version": _version(command), "file": None},
            self._with(name, replace(book, versions=(*book.versions, command))), content_of(command),
        )  # fmt: skip

    def _edit(self, jobs: dict[str, Any]) -> Wish | None:
        name, book = self._any_job()
        if book is None:
            return None
        text = f"description {next(self._numbers)}"
        return Wish(
            EDIT, {"job": {"id": jobs[name]["id"], "description": text}},
            self._with(name, replace(book, description=text)),
        )  # fmt: skip

    def _run(self, jobs: dict[str, Any]) -> Wish | None:
        name, book = self._any_job()
        if book is None or len(book.numbers) >= MOST_INSTANCES:
            return None
        number = book.runs + 1
        after = replace(book, numbers=book.numbers | {number}, runs=number)
        return Wish(RUN, {"id": jobs[name]["id"]}, self._with(name, after))

    def _stop(self, jobs: dict[str, Any]) -> Wish | None:
        name, book = self._any_job()
        on_their_way = ("AWAITING", "REQUESTED", "QUEUED", "RUNNING")
        found = [one for one in jobs[name]["instances"] if status_of(one) in on_their_way] if book else []
        if book is None or not found:
            return None
        one = self._random.choice(found)
        return Wish(
            STOP, {"id": one["id"]}, self._with(name, replace(book, stopped=book.stopped | {one["number"]}))
        )  # fmt: skip

    def _purge(self, jobs: dict[str, Any]) -> Wish | None:
        name, book = self._any_job()
        ended = ("SUCCEEDED", "FAILED", "KILLED")
        found = [one for one in jobs[name]["instances"] if status_of(one) in ended][:3] if book else []
        if book is None or not found:
            return None
        gone = {one["number"] for one in found}
        after = replace(book, numbers=book.numbers - gone, stopped=book.stopped - gone)
        return Wish(PURGE, {"id": jobs[name]["id"], "ids": [one["id"] for one in found]}, self._with(name, after))

    def _delete(self, jobs: dict[str, Any]) -> Wish | None:
        name, book = self._any_job()
        if book is None or len(book.versions) < MOST_VERSIONS:
            return None
        rest = {other: one for other, one in self.books.jobs.items() if other != name}
        return Wish(DELETE, {"id": jobs[name]["id"]}, replace(self.books, jobs=rest))

    def _create_project(self) -> Wish | None:
        if len(self.books.projects) >= 2:
            return None
        name = f"{self._name} further {next(self._numbers)}"
        after = replace(self.books, projects=self.books.projects | {name})
        return Wish(CREATE_PROJECT, {"project": self._project(name)}, after)

    def _delete_project(self, further: dict[str, str]) -> Wish | None:
        if not further:
            return None
        name = self._random.choice(sorted(further))
        return Wish(
            DELETE_PROJECT, {"id": further[name]}, replace(self.books, projects=self.books.projects - {name})
        )  # fmt: skip

    def _project(self, name: str) -> dict[str, Any]:
        allowed = [{"jobCategory": category, "technologies": [{"id": BASH}]} for category in catalogue.CATEGORIES]
        groups = [{"name": "one", "role": "ROLE_PROJECT_EDITOR"}, {"name": "two", "role": "ROLE_PROJECT_VIEWER"}]
        return {"name": name, "technologiesByCategory": allowed, "authorizedGroups": groups}

    def _any_job(self) -> tuple[str, JobBook | None]:
        name = self._random.choice(sorted(self.books.jobs) or [""])
        return name, self.books.jobs.get(name)

    def _with(self, name: str, book: JobBook) -> Books:
        return replace(self.books, jobs={**self.books.jobs, name: book})

    def _command(self) -> str:
        return self._random.choice(COMMANDS).format(n=next(self._numbers))


def _version(command: str) -> dict[str, Any]:
    return {"runtimeVersion": "debian12-bookworm", "commandLine": command}
