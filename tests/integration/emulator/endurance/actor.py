"""Actors send random mutations, each on a project of its own, and keep books of what has to be there.

Queries are repeated until they are answered. A mutation is sent once: if its outcome is in doubt, the next look at the
platform tells whether it was done; it was done whole or not at all.
"""

import argparse
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from airflow_provider_saagie.emulator import catalogue, testing
from airflow_provider_saagie.emulator.states import TRANSITIONS, Status
from airflow_provider_saagie.emulator.testing import Emulator
from tests.support import emulator_client as api
from tests.support.emulator_client import Client

ACTORS = 4
MOST_JOBS, MOST_VERSIONS, MOST_INSTANCES, MOST_PROJECTS = 4, 4, 8, 2
DONE, REFUSED, DOUBT = "done", "refused", "doubt"  # what an actor knows of a mutation; in doubt: no usable answer
# What a job does; {n} makes each command line unique.
COMMANDS = ("true # {n}", "echo a; echo b >&2 # {n}", "sleep 0.3 # {n}", "exit 3 # {n}", "sleep 60 & sleep 60 # {n}")
PURGE = """
mutation deleteJobInstances($id: UUID!, $ids: [UUID!]) {
  deleteJobInstances(jobId: $id, jobInstanceIds: $ids) { id success }
}
"""
STATE = """
query state($id: UUID!) {
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


class LostError(Exception):
    """A query was repeated until the patience was over."""


class Job(NamedTuple):
    """What an actor believes of a job.

    :param versions: each version's command line, oldest first; `content_of` it is the version's file.
    :param numbers: the numbers of its instances, of which `stopped` were stopped.
    :param runs: how many instances were ever started.
    """

    description: str | None
    versions: tuple[str, ...]
    numbers: frozenset[int] = frozenset()
    stopped: frozenset[int] = frozenset()
    runs: int = 0


class Wish(NamedTuple):
    """A mutation, the books once it is done (jobs and further projects by name), and the file that is sent."""

    document: str
    variables: dict[str, Any]
    after: dict[str, Job | None]
    content: bytes | None = None


class Actor(Client):
    """An actor with a project of its own.

    :param name: no other actor's name begins with it.
    :param seed: makes its choices repeatable.
    """

    patience = 120.0  # seconds in which a query is repeated

    def __init__(self, emulator: Emulator, name: str, seed: int) -> None:
        super().__init__(httpx.Client(trust_env=False, timeout=120, base_url=emulator.url), emulator.password)
        self.emulator = emulator
        self.books: dict[str, Job | None] = {}
        self.journal: list[tuple[str, str, bool]] = []  # each mutation's name, what was known of it, and if it was done
        self._name = name
        self._random = random.Random(seed)
        self._numbers = itertools.count()
        self._doubt: Wish | None = None
        known, data = self._write(Wish(api.CREATE_PROJECT, project_wish(name), self.books))
        assert known == DONE, "actors are made before anything goes wrong"
        self.project_id = data["createProject"]["id"]

    def step(self) -> str:
        """Send a random mutation and note what is known of it."""
        assert self._doubt is None
        weights, wishes = zip(*self._wishes(), strict=True)
        (wish,) = self._random.choices(wishes, weights)
        known, data = self._write(wish)
        assert all(one["success"] for one in data.get("deleteJobInstances", ())), data
        if known == DOUBT:
            self._doubt = wish
        else:
            self._note(wish, known, happened=known == DONE)
        return known

    def move_to(self, emulator: Emulator) -> None:
        """Go on with an emulator that was started on the data of the one before."""
        self.emulator, self.http.base_url = emulator, emulator.url

    def settle(self) -> None:
        """Compare what is there with the books."""
        found = self._look()
        if self._doubt is not None:
            wish, self._doubt = self._doubt, None
            self._note(wish, DOUBT, happened=found == wish.after)
        assert found == self.books, f"\nfound    {found}\nbelieved {self.books}"

    def check_files(self) -> int:
        """Download each version's file and compare it with the upload; return their number."""
        versions = [version for job in self._state()["project"]["jobs"] for version in job["versions"]]
        for version in versions:
            url = version["packageInfo"]["downloadUrl"]
            content = self._repeat(lambda url=url: self._ask(lambda: self.http.get(url)).content)
            assert content == content_of(version["commandLine"]), version
        return len(versions)

    def counts(self) -> Counter[str]:
        """Count the journal's entries by what was known and what happened."""
        return Counter(f"{known}, {'done' if happened else 'not done'}" for _, known, happened in self.journal)

    def instances(self) -> list[dict[str, Any]]:
        return [one for job in self._state()["project"]["jobs"] for one in job["instances"]]

    def _note(self, wish: Wish, known: str, happened: bool) -> None:
        if happened:
            self.books = wish.after
        self.journal.append((self._agent, known, happened))

    def _wishes(self) -> Iterator[tuple[int, Wish]]:
        """Return what is possible now, on a random job and on projects, each with its weight."""
        state, books, number = self._state(), self.books, next(self._numbers)
        further = [one for one in state["projects"] if one["name"] in books]
        command = self._random.choice(COMMANDS).format(n=number)
        version = {"runtimeVersion": api.RUNTIMES["bash"], "commandLine": command}
        if len(state["project"]["jobs"]) < MOST_JOBS:
            job = {
                "projectId": self.project_id, "name": f"job {number}", "category": "Processing", "isScheduled": False,
                "isStreaming": False, "technology": {"id": api.TECHNOLOGIES["bash"]}, "description": None,
            }  # fmt: skip
            after = books | {job["name"]: Job(None, (command,))}
            yield 1, Wish(api.CREATE_JOB, {"job": job, "version": version}, after, content_of(command))
        if len(further) < MOST_PROJECTS:
            name = f"{self._name} further {number}"
            yield 1, Wish(api.CREATE_PROJECT, project_wish(name), books | {name: None})
        if further:
            one = self._random.choice(further)
            yield 1, Wish(api.DELETE_PROJECT, {"id": one["id"]}, self._without(one["name"]))
        if state["project"]["jobs"]:
            yield from self._wishes_on(self._random.choice(state["project"]["jobs"]), version, number)

    def _wishes_on(self, job: dict[str, Any], version: dict[str, str], number: int) -> Iterator[tuple[int, Wish]]:
        def after(**changes: Any) -> dict[str, Job | None]:
            return self.books | {job["name"]: book._replace(**changes)}

        book, id_ = self.books[job["name"]], {"id": job["id"]}
        assert book is not None
        if len(book.versions) < MOST_VERSIONS:
            command = version["commandLine"]
            versions = (*book.versions, command)
            yield 3, Wish(api.ADD_VERSION, id_ | {"version": version}, after(versions=versions), content_of(command))
        else:
            yield 1, Wish(api.DELETE_JOB, id_, self._without(job["name"]))
        text = f"description {number}"
        yield 2, Wish(api.EDIT_JOB, {"job": id_ | {"description": text}}, after(description=text))
        if len(book.numbers) < MOST_INSTANCES:
            runs = book.runs + 1
            yield 6, Wish(api.RUN_JOB, id_, after(numbers=book.numbers | {runs}, runs=runs))
        running = [one for one in job["instances"] if status_of(one) in ("AWAITING", "REQUESTED", "QUEUED", "RUNNING")]
        if running:
            one = self._random.choice(running)
            yield 3, Wish(api.STOP, {"id": one["id"]}, after(stopped=book.stopped | {one["number"]}))
        ended = [one for one in job["instances"] if status_of(one) in ("SUCCEEDED", "FAILED", "KILLED")][:3]
        if ended:
            gone, ids = {one["number"] for one in ended}, [one["id"] for one in ended]
            yield 3, Wish(PURGE, id_ | {"ids": ids}, after(numbers=book.numbers - gone, stopped=book.stopped - gone))

    def _without(self, name: str) -> dict[str, Job | None]:
        return {other: book for other, book in self.books.items() if other != name}

    def _look(self) -> dict[str, Job | None]:
        """Read what is there, and check that nothing is half there."""
        state, found = self._state(), dict[str, Job | None]()
        for job in state["project"]["jobs"]:
            versions = sorted(job["versions"], key=lambda one: one["number"])
            current = [(one["number"], one["isCurrent"]) for one in versions]
            assert current == [(n, n == len(versions)) for n in range(1, len(versions) + 1)]
            assert {one["packageInfo"]["name"] for one in versions} == {"job.sh"}, job
            numbers = frozenset(one["number"] for one in job["instances"])
            assert len(numbers) == len(job["instances"])
            for one in job["instances"]:
                history = [Status(each["status"]) for each in one["history"]["statuses"]]
                assert history[0] is Status.AWAITING, one
                assert all(later in TRANSITIONS[earlier] for earlier, later in itertools.pairwise(history)), one
                assert status_of(one) in history, one
            believed = self.books.get(job["name"])
            found[job["name"]] = Job(
                description=job["description"],
                versions=tuple(one["commandLine"] for one in versions),
                numbers=numbers,
                stopped=frozenset(one["number"] for one in job["instances"] if status_of(one) in ("KILLING", "KILLED")),
                runs=max([believed.runs if believed else 0, *numbers]),
            )
        for one in state["projects"]:
            if one["name"].startswith(f"{self._name} further"):
                assert [len(each["technologies"]) for each in one["technologiesByCategory"]] == [1, 1, 1], one
                assert len(self._read(RIGHTS, {"id": one["id"]})["rights"]) == 2, one
                found[one["name"]] = None
        return found

    def _state(self) -> dict[str, Any]:
        return self._read(STATE, {"id": self.project_id})

    def _write(self, wish: Wish) -> tuple[str, dict[str, Any]]:
        """Send a mutation once; return what is known of it, and the answer's data if it was done."""
        operation = wish.document.split("(")[0].split()[1]
        self._agent = self.http.headers["User-Agent"] = f"{self._name} {len(self.journal)} {operation}"
        file = None if wish.content is None else ("job.sh", wish.content)
        try:
            answer = self._ask(lambda: self.send(wish.document, wish.variables, file)).json()
        except PermissionError:
            return REFUSED, {}
        except (httpx.HTTPError, ValueError):
            return DOUBT, {}
        return (REFUSED, {}) if answer.get("errors") else (DONE, answer["data"])

    def _read(self, document: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Send a query until it is answered with data."""
        return self._repeat(lambda: self._ask(lambda: self.send(document, variables)).json()["data"])

    def _ask(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        """Log in if necessary, and send a request; an answer other than 200 is an error."""
        if "Authorization" not in self.http.headers:
            self.log_in()
        answer = send()
        if answer.status_code == 401:
            del self.http.headers["Authorization"]
            raise PermissionError
        return answer.raise_for_status()

    def _repeat(self, ask: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                if found := ask():
                    return found
                raise ValueError("no data")
            except (httpx.HTTPError, PermissionError, ValueError, KeyError) as error:
                if time.monotonic() > deadline:
                    raise LostError(repr(error)) from error
                time.sleep(0.1)


def status_of(instance: dict[str, Any]) -> str:
    return str(instance["history"]["currentStatus"]["status"])


def content_of(command: str) -> bytes:
    """Return the file that belongs to a command line; some are larger than a pipe or a page."""
    marker = int(command.rpartition(" ")[2])
    return f"# {command}\n{'x' * (marker % 7 * 9_000)}\n".encode().replace(b"\nx", b"\n#x")


def project_wish(name: str) -> dict[str, Any]:
    technologies = [{"id": api.TECHNOLOGIES["bash"]}]
    allowed = [{"jobCategory": category, "technologies": technologies} for category in catalogue.CATEGORIES]
    groups = [{"name": "one", "role": "ROLE_PROJECT_EDITOR"}, {"name": "two", "role": "ROLE_PROJECT_VIEWER"}]
    return {"project": {"name": name, "technologiesByCategory": allowed, "authorizedGroups": groups}}


@contextmanager
def actors_in(folder: Path, seed: int) -> Iterator[list[Actor]]:
    """Start an emulator and its actors; check that it ends without a traceback and leaves no process."""
    emulator, actors = testing.start(folder), list[Actor]()
    try:
        actors += [Actor(emulator, f"actor {number}", seed * 100 + number) for number in range(ACTORS)]
        yield actors
    finally:
        for actor in actors:
            actor.http.close()
            actor.emulator.stop()  # another one, if the test has replaced it
        emulator.stop()
        assert "Traceback" not in (folder / "emulator.log").read_text()
    assert processes_in(folder) == []


def processes_in(folder: Path) -> list[int]:
    """List the processes of jobs of an emulator's data folder: their HOME is in it."""
    found, mark = [], f"HOME={(folder / 'data').resolve()}/work/".encode()
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            found += [int(entry.parent.name)] if mark in entry.read_bytes() else []
    return found


def options(description: str, amount: str, default: float) -> argparse.Namespace:
    """Return the options of a program that is run by hand."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(amount, type=float, default=default)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    return parser.parse_args()
