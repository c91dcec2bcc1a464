"""Test that saagieapi 2.13.1 and our hook, making the same calls, get equal answers apart from ids and times."""

import inspect
import json
import re
import uuid
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_saagie.client.jobs import Jobs
from airflow_provider_saagie.emulator import testing
from airflow_provider_saagie.emulator.testing import Emulator
from airflow_provider_saagie.hooks.saagie import SaagieHook
from tests.integration.emulator.contract import played_calls
from tests.integration.emulator.contract.differing_calls import FIELDS, SCRIPT, Difference, Raises
from tests.integration.emulator.contract.official import need_official_client, played
from tests.integration.emulator.contract.played_calls import ALIKE, NOBODY, PROJECTS, Step

PLAYER = Path(__file__).with_name("official_player.py")
OTHER_PLATFORM = 7
PROJECT_NAMES = ("project", "second", "third")
CONN_ID = "saagie_side_by_side"
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.]*(Z|[+-]\d\d:?\d\d)")
MISSING = "(missing)"
OURS_ALONE = {"generate_description_by_ai"}  # the official client no longer has it
NOT_SERVED = {"export", "import_from_json"}  # of projects: they need apps, pipelines and environment variables
OF_PLATFORM_AND_PROJECT = {
    "platform": ("platform.id", 1),
    "catalogues": ("repositories.*.name", ["Saagie", "Saagie Community"]),
    "technologies": ("*.label", ["Python", "Bash", "Java/Scala", "Spark", "Jupyter Notebook"]),
    "capacity": ("getClusterCapacity.0", {"cpu": 4.0, "gpu": 0.0, "memory": 16.0}),
    "platform again": ("platform.id", 1),
    "project edited": ("editProject.name", "official"),
    "project read": ("project.description", "changed"),
    "by name": ("projectByName.description", "changed"),
    "rights": ("rights", [{"name": "group", "role": "ROLE_PROJECT_EDITOR", "isAllProjects": False}]),
    "allowed": ("technologiesByCategory.*.technologies.#", [3, 3, 0]),  # the client sets these two
    "apps": ("appTechnologies.#", 1),
    "status": ("", "READY"),
    "project deleted": ("deleteProject", True),
}


class Side:
    """A client, the projects that it has for itself, and its answers; ids are names that `symbolic` takes for equal."""

    patience = 200

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        folder.mkdir()
        self.emulator, self.folder, self.answers = emulator, folder, dict[str, Any]()
        self.names: dict[str, Any] = {f"{name}_name": str(uuid.uuid4()) for name in PROJECT_NAMES} | {
            "platform": emulator.platform, "other_platform": OTHER_PLATFORM, "password": emulator.password,
            "url": emulator.url, "folder": str(folder), "patience": self.patience,
        }  # fmt: skip
        self.names["third_upper"] = self.names["third_name"].upper()


class Official(Side):
    """The official client in its own environment."""

    patience = 3
    methods: dict[str, list[str]]

    def play(self, steps: Iterable[Step]) -> dict[str, Any]:
        emulator = self.emulator
        task = {
            "url": emulator.url, "platform": emulator.platform, "login": emulator.login, "realm": emulator.realm,
            "names": self.names, "steps": [asdict(one) for one in steps],
        }  # fmt: skip
        seen = played(PLAYER, task)
        self.methods = seen["methods"]
        return seen["answers"]


class Ours(Side):
    """Our hook over a connection."""

    def play(self, steps: Iterable[Step]) -> dict[str, Any]:
        with ExitStack() as stack, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # one of the calls is deprecated

            def log_in(password: str) -> SaagieHook:
                connection = json.loads(self.emulator.connection()) | {"password": password}
                connection["extra"]["retries"] = 0
                with pytest.MonkeyPatch.context() as environment:
                    environment.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection))
                    hook = SaagieHook(CONN_ID)
                    stack.callback(hook.close)
                    hook.get_conn().get_platform()
                return hook

            answers = played_calls.play(log_in(self.names["password"]), steps, self.names, log_in)
        return json.loads(json.dumps(answers))


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Official, Ours]]:
    """Both clients after the calls that they answer alike."""
    need_official_client()
    folder = tmp_path_factory.mktemp("side-by-side")
    emulator = testing.start(folder, ["--platform", str(OTHER_PLATFORM)])
    official, ours = (kind(emulator, folder / kind.__name__) for kind in (Official, Ours))
    emulator.begin([side.names[f"{name}_name"] for side in (official, ours) for name in PROJECT_NAMES])
    for side in (official, ours):
        side.names |= {name: emulator.projects[side.names[f"{name}_name"]] for name in PROJECT_NAMES}
        side.names["far"] = emulator.on(OTHER_PLATFORM).projects[side.names["project_name"]]
    with ThreadPoolExecutor() as pool:
        official_answers = pool.submit(official.play, [*ALIKE, *PROJECTS])
        ours.answers = ours.play(ALIKE)
        official.answers = official_answers.result()
    yield official, ours
    emulator.stop()


def symbolic(value: Any) -> Any:
    """Replace each id by a symbol, numbered by first appearance, and each time by one word."""
    seen: dict[str, str] = {}
    text = TIME.sub("TIME", json.dumps(value, sort_keys=True))
    return json.loads(ID.sub(lambda found: seen.setdefault(found[0], f"<id {len(seen) + 1}>"), text))


def part_of(answer: Any, path: str) -> Any:
    """Follow a path into an answer: `*` is each item, `#` the number of items; return MISSING if there is no such."""
    name, _, rest = path.partition(".")
    if not path:
        return answer
    if name == "*":
        return [part_of(one, rest) for one in answer]
    try:
        return len(answer) if name == "#" else part_of(answer[int(name) if isinstance(answer, list) else name], rest)
    except (KeyError, IndexError, TypeError):
        return MISSING


def test_answers_are_equal(sides: tuple[Official, Ours]) -> None:
    official, ours = (symbolic([side.answers[one.name] for one in ALIKE]) for side in sides)
    apart = {}
    for one, theirs, our in zip(ALIKE, official, ours, strict=True):
        for path in (path for name, path in FIELDS if name == one.name):
            assert part_of(theirs, path) != part_of(our, path), (one.name, path)
            parent, _, last = path.rpartition(".")
            for answer in (theirs, our):
                part_of(answer, parent).pop(last, None)
        if our != theirs or "raised" in str(our):
            apart[one.name] = (theirs, our)
    assert apart == {}


def test_official_client_manages_projects_and_logs_in_again(sides: tuple[Official, Ours]) -> None:
    answers = sides[0].answers
    seen = {name: (path, part_of(answers[name], path)) for name, (path, _) in OF_PLATFORM_AND_PROJECT.items()}
    assert seen == OF_PLATFORM_AND_PROJECT
    project = answers["project made"]["createProject"]["id"]
    assert answers["project id"] == project
    assert project in part_of(answers["listed"], "projects.*.id")


def test_every_method_is_called(sides: tuple[Official, Ours]) -> None:
    called = {one.method for one in (*ALIKE, *PROJECTS)}
    official = {kind: {one for one in names if one[0] != "_"} for kind, names in sides[0].methods.items()}
    ours = {name for name, _ in inspect.getmembers(Jobs, inspect.isfunction) if not name.startswith("_")}
    assert official["jobs"] - called == set()
    assert ours - called == OURS_ALONE
    assert {one for one in official["projects"] if f"projects.{one}" not in called} == NOT_SERVED


def exported(side: Side, folder: str) -> dict[str, Any]:
    """Read all files below a folder: JSON parsed, others as bytes."""
    root = side.folder / folder
    kinds = {side.answers[kind]["data"]["createJob"]["id"]: kind for kind in ("made", "bash", "spark")}
    found = {}
    for file in sorted(path for path in root.rglob("*") if path.is_file()):
        job_id, *rest = file.relative_to(root).parts
        name = "/".join([kinds.get(job_id, job_id), *rest])
        found[name] = symbolic(json.loads(file.read_text())) if file.suffix == ".json" else file.read_bytes()
    return found


def test_exported_folders_are_equal_and_their_imports_whole(sides: tuple[Official, Ours]) -> None:
    for folder, names in (("exported", {"made", "bash", "spark"}), ("current", {"made"}), ("two", {"bash"})):
        theirs, ours = (exported(side, folder) for side in sides)
        assert theirs == ours
        assert {name.split("/")[0] for name in ours if name.endswith("job.json")} == names
    theirs, ours = (exported(side, "again") for side in sides)
    files = [[content for content in found.values() if isinstance(content, bytes)] for found in (theirs, ours)]
    assert files == [[played_calls.SLEEPS.encode()] * 2] * 2, "what was imported and exported again has its file"


def shown(answer: Any, part: str) -> Any:
    """Return what a difference is about: the error, or a part of the answer."""
    if isinstance(answer, dict) and "raised" in answer:
        return Raises(answer["raised"][0])
    return part_of(answer, part)


@pytest.mark.long  # ten seconds: in some of these cases the official client waits in vain
def test_differences_are_those_of_the_table(sides: tuple[Official, Ours]) -> None:
    """The official client hides errors, prints, exits, waits for ever or loses values in these cases."""
    steps = [one.step if isinstance(one, Difference) else one for one in SCRIPT]
    theirs, ours = (side.play(steps) for side in sides)
    apart = {}
    for one in SCRIPT:
        if not isinstance(one, Difference):
            assert symbolic(theirs[one.name]) == symbolic(ours[one.name]), one
            continue
        seen = tuple(shown(symbolic(answers[one.step.name]), one.part) for answers in (theirs, ours))
        if seen != (one.official, one.ours) or one.official == one.ours or not one.why:
            apart[one.step.name] = seen
        if isinstance(one.ours, Raises):
            assert "SaagieError" in ours[one.step.name]["raised"], one.step.name
    assert apart == {}
    notes = [(side.folder / "noted" / "jobs" / "jobs_error.txt").read_text() for side in sides]
    assert notes == [f"{NOBODY}\n"] * 2
    assert not list((sides[1].folder / "half").iterdir())
