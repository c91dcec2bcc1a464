"""An actor: sends random mutations on its own project, one at a time, and keeps books of it."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.emulator import catalogue
from tests.integration.emulator.endurance.books import Books, JobBook, check_files, content_of, read_books, status_of
from tests.integration.emulator.endurance.platform import Outcome, Platform
from tests.support import emulator_client
from tests.support.emulator_client import RUNTIMES, TECHNOLOGIES

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_saagie.emulator.testing import Emulator

MOST_JOBS, MOST_VERSIONS, MOST_INSTANCES = 4, 4, 8
# What a job does; {n} makes each command line unique.
COMMANDS = ("true # {n}", "echo a; echo b >&2 # {n}", "sleep 0.3 # {n}", "exit 3 # {n}", "sleep 60 & sleep 60 # {n}")
CREATE_PROJECT = "mutation createProject($project: ProjectInput!) { createProject(project: $project) { id name } }"
DELETE_PROJECT = "mutation deleteProject($id: UUID!) { deleteProject(projectId: $id) }"
PURGE = """
mutation deleteJobInstances($id: UUID!, $ids: [UUID!]) {
  deleteJobInstances(jobId: $id, jobInstanceIds: $ids) { id success }
}
"""
STATE = """
query state($id: UUID!) {
  project(id: $id) { jobs { id name instances { id number history { currentStatus { status } } } } }
  projects { id name }
}
"""


@dataclass(frozen=True, slots=True)
class Wish:
    """A mutation that an actor wants, and its books once it is done."""

    document: str
    variables: dict[str, Any]
    after: Books
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of an actor's journal.

    :param agent: the mutation's name.
    :param known: what the actor knew from the answer.
    :param happened: whether it was done; if that was in doubt, by what was found afterwards.
    """

    agent: str
    operation: str
    known: Outcome
    happened: bool


class Actor:
    """An actor with a project of its own.

    :param name: no other actor's name begins with it.
    :param seed: makes its choices repeatable.
    """

    def __init__(self, emulator: Emulator, name: str, seed: int) -> None:
        self.platform = Platform(emulator, name)
        self.books = Books()
        self.journal: list[Entry] = []
        self._name = name
        self._random = random.Random(seed)
        self._numbers = itertools.count()
        self._doubt: Wish | None = None
        outcome, data = self.platform.write(CREATE_PROJECT, {"project": _project(name)})
        assert outcome is Outcome.DONE, "actors are made before anything goes wrong"
        self.project_id = str(data["createProject"]["id"])

    def step(self) -> Outcome:
        """Send a random mutation and note what is known of it."""
        assert self._doubt is None
        wish = self._choose()
        outcome, data = self.platform.write(wish.document, wish.variables, wish.content)
        assert all(one["success"] for one in data.get("deleteJobInstances", ())), data
        if outcome is Outcome.DOUBT:
            self._doubt = wish
        else:
            self._note(wish, outcome, happened=outcome is Outcome.DONE)
        return outcome

    def settle(self) -> None:
        """Compare what is there with the books; a mutation in doubt was done whole or not at all."""
        found = read_books(self.platform, self.project_id, f"{self._name} further", self.books)
        if self._doubt is not None:
            wish, self._doubt = self._doubt, None
            self._note(wish, Outcome.DOUBT, happened=found == wish.after)
        assert found == self.books, f"\nfound    {found}\nbelieved {self.books}"

    def check_files(self) -> int:
        return check_files(self.platform, self.project_id)

    def counts(self) -> Counter[str]:
        """Count the journal's lines by what was known and what happened."""
        return Counter(f"{one.known}, {'done' if one.happened else 'not done'}" for one in self.journal)

    def _note(self, wish: Wish, known: Outcome, happened: bool) -> None:
        if happened:
            self.books = wish.after
        self.journal.append(Entry(self.platform.agent, wish.document.split("(")[0].split()[1], known, happened))

    def _choose(self) -> Wish:
        """Choose among what is possible now; an impossible choice is made again."""
        state = self.platform.read(STATE, {"id": self.project_id})
        jobs = {job["name"]: job for job in state["project"]["jobs"]}
        further = {one["name"]: one["id"] for one in state["projects"] if one["name"] in self.books.projects}
        on_job: dict[Callable[..., Wish | None], int] = {
            self._upgrade: 3, self._edit: 2, self._run: 6, self._stop: 3, self._purge: 3, self._delete: 1
        }  # fmt: skip
        weights = on_job | {self._create: 1, self._create_project: 1, lambda: self._delete_project(further): 1}
        while True:
            (choice,) = self._random.choices(list(weights), list(weights.values()))
            name = self._random.choice(sorted(self.books.jobs) or [""])
            job = [jobs[name], self.books.jobs[name]] if name and choice in on_job else []
            wish = choice(*job) if job or choice not in on_job else None
            if wish is not None:
                return wish

    def _create(self) -> Wish | None:
        if len(self.books.jobs) >= MOST_JOBS:
            return None
        command, name = self._command(), f"job {next(self._numbers)}"
        job = {
            "projectId": self.project_id, "name": name, "category": "Processing", "isScheduled": False,
            "isStreaming": False, "technology": {"id": TECHNOLOGIES["bash"]}, "description": None,
        }  # fmt: skip
        variables = {"job": job, "version": _version(command), "file": None}
        return Wish(
            emulator_client.CREATE_JOB, variables, self._with(name, JobBook(None, (command,))), content_of(command)
        )

    def _upgrade(self, job: dict[str, Any], book: JobBook) -> Wish | None:
        if len(book.versions) >= MOST_VERSIONS:
            return None
        command = self._command()
        after = self._with(job["name"], replace(book, versions=(*book.versions, command)))
        variables = {"id": job["id"], "version": _version(command), "file": None}
        return Wish(emulator_client.ADD_VERSION, variables, after, content_of(command))

    def _edit(self, job: dict[str, Any], book: JobBook) -> Wish | None:
        text = f"description {next(self._numbers)}"
        after = self._with(job["name"], replace(book, description=text))
        return Wish(emulator_client.EDIT_JOB, {"job": {"id": job["id"], "description": text}}, after)

    def _run(self, job: dict[str, Any], book: JobBook) -> Wish | None:
        if len(book.numbers) >= MOST_INSTANCES:
            return None
        number = book.runs + 1
        after = self._with(job["name"], replace(book, numbers=book.numbers | {number}, runs=number))
        return Wish(emulator_client.RUN_JOB, {"id": job["id"]}, after)

    def _stop(self, job: dict[str, Any], book: JobBook) -> Wish | None:
        unfinished = ("AWAITING", "REQUESTED", "QUEUED", "RUNNING")
        found = [one for one in job["instances"] if status_of(one) in unfinished]
        if not found:
            return None
        one = self._random.choice(found)
        after = self._with(job["name"], replace(book, stopped=book.stopped | {one["number"]}))
        return Wish(emulator_client.STOP, {"id": one["id"]}, after)

    def _purge(self, job: dict[str, Any], book: JobBook) -> Wish | None:
        found = [one for one in job["instances"] if status_of(one) in ("SUCCEEDED", "FAILED", "KILLED")][:3]
        if not found:
            return None
        gone = {one["number"] for one in found}
        after = replace(book, numbers=book.numbers - gone, stopped=book.stopped - gone)
        return Wish(PURGE, {"id": job["id"], "ids": [one["id"] for one in found]}, self._with(job["name"], after))

    def _delete(self, job: dict[str, Any], book: JobBook) -> Wish | None:
        if len(book.versions) < MOST_VERSIONS:
            return None
        rest = {name: one for name, one in self.books.jobs.items() if name != job["name"]}
        return Wish(emulator_client.DELETE_JOB, {"id": job["id"]}, replace(self.books, jobs=rest))

    def _create_project(self) -> Wish | None:
        if len(self.books.projects) >= 2:
            return None
        name = f"{self._name} further {next(self._numbers)}"
        after = replace(self.books, projects=self.books.projects | {name})
        return Wish(CREATE_PROJECT, {"project": _project(name)}, after)

    def _delete_project(self, further: dict[str, str]) -> Wish | None:
        if not further:
            return None
        name = self._random.choice(sorted(further))
        after = replace(self.books, projects=self.books.projects - {name})
        return Wish(DELETE_PROJECT, {"id": further[name]}, after)

    def _with(self, name: str, book: JobBook) -> Books:
        return replace(self.books, jobs={**self.books.jobs, name: book})

    def _command(self) -> str:
        return self._random.choice(COMMANDS).format(n=next(self._numbers))


def _project(name: str) -> dict[str, Any]:
    technologies = [{"id": TECHNOLOGIES["bash"]}]
    allowed = [{"jobCategory": category, "technologies": technologies} for category in catalogue.CATEGORIES]
    groups = [{"name": "one", "role": "ROLE_PROJECT_EDITOR"}, {"name": "two", "role": "ROLE_PROJECT_VIEWER"}]
    return {"name": name, "technologiesByCategory": allowed, "authorizedGroups": groups}


def _version(command: str) -> dict[str, Any]:
    return {"runtimeVersion": RUNTIMES["bash"], "commandLine": command}
