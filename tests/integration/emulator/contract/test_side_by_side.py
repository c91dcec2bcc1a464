"""saagieapi 2.13.1 and our hook make the same calls against two fresh emulators: equal answers, ids and times aside."""

from __future__ import annotations

import inspect
import json
import re
import urllib.request
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client.jobs import Jobs
from airflow_provider_saagie.hooks.saagie import SaagieHook
from tests.integration.emulator.contract import differing_calls, played_calls
from tests.integration.emulator.contract.differing_calls import FIELDS, Difference, Raises
from tests.integration.emulator.contract.official import need_official_client, played
from tests.integration.emulator.contract.played_calls import ALIKE, NOBODY, Step, step
from tests.support.emulator_process import Emulator, running_emulator

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

pytestmark = pytest.mark.long  # half a minute

PLAYER = Path(__file__).with_name("official_player.py")
OTHER_PLATFORM = 7
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.]*(Z|[+-]\d\d:?\d\d)")
MISSING = "(missing)"
LEFT_OUT_BY_THE_OFFICIAL_IMPORT = {"dockerInfo": None, "sourceUrl": None}
# One of ours that the official client does not have any more.
OURS_ALONE = {"generate_description_by_ai"}
CREATE_PROJECT = "mutation createProject($project: ProjectInput!) { createProject(project: $project) { id } }"
JOBS = """
query jobs($project: UUID!) {
  jobs(projectId: $project) {
    id name description isScheduled versions { number commandLine runtimeVersion packageInfo { name downloadUrl } }
  }
}
"""
TECHNOLOGIES = "query repositories { repositories { technologies { __typename id } } }"


@dataclass
class Side:
    """A client, the emulator that it has for itself, and what it saw there."""

    emulator: Emulator
    folder: Path
    names: dict[str, Any]
    answers: dict[str, Any]

    def play(self, steps: Iterable[Step]) -> dict[str, Any]:
        raise NotImplementedError

    def download(self, path: str) -> bytes:
        """Read a file of the platform without any client."""
        request = urllib.request.Request(
            self.emulator.url + path,
            headers={"Authorization": f"Bearer {self.emulator.log_in()}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()


class Official(Side):
    """The official client, in its own environment."""

    def play(self, steps: Iterable[Step]) -> dict[str, Any]:
        emulator = self.emulator
        task = {
            "url": emulator.url,
            "platform": emulator.platform,
            "login": emulator.login,
            "password": emulator.password,
            "realm": emulator.realm,
            "names": self.names,
            "steps": [asdict(one) for one in steps],
        }
        return played(PLAYER, task)


class Ours(Side):
    """Our hook, over a connection."""

    def play(self, steps: Iterable[Step]) -> dict[str, Any]:
        emulator = self.emulator
        opened: list[SaagieHook] = []

        def log_in(password: str) -> SaagieHook:
            connection = {
                "conn_type": "saagie",
                "host": emulator.url,
                "login": emulator.login,
                "password": password,
                "extra": {"realm": emulator.realm, "platform_id": emulator.platform, "retries": 0},
            }
            with pytest.MonkeyPatch.context() as environment:
                environment.setenv("AIRFLOW_CONN_SAAGIE_SIDE_BY_SIDE", json.dumps(connection))
                opened.append(hook := SaagieHook("saagie_side_by_side"))
                hook.get_conn().get_platform()
            return hook

        hook = log_in(emulator.password)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # one of the calls is deprecated, on purpose
                answers = played_calls.play(hook.jobs, steps, self.names, emulator.url, log_in)
        finally:
            for each in opened:
                each.close()
        return json.loads(json.dumps(answers))


Sides = tuple[Official, Ours]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """Both clients, after they have made the calls that they answer alike."""
    need_official_client()
    folder = tmp_path_factory.mktemp("side-by-side")
    options = ("--platform", "1", "--platform", str(OTHER_PLATFORM))
    with (
        running_emulator(folder / "official-data", *options) as one,
        running_emulator(folder / "our-data", *options) as other,
    ):
        official, ours = (
            kind(emulator, folder / name, names_on(emulator, folder / name), {})
            for kind, emulator, name in ((Official, one, "official"), (Ours, other, "ours"))
        )
        for side in (official, ours):
            side.answers = side.play(ALIKE)
        yield official, ours


def names_on(emulator: Emulator, folder: Path) -> dict[str, Any]:
    """Make the projects that the steps work in."""
    folder.mkdir()
    named = {name: f"{name} project" for name in ("project", "second", "third", "crosswise")}
    return {
        **{name: create_project(emulator, emulator.platform, title) for name, title in named.items()},
        **{f"{name}_name": title for name, title in named.items()},
        "far": create_project(emulator, OTHER_PLATFORM, "far project"),
        "platform": emulator.platform,
        "other_platform": OTHER_PLATFORM,
        "folder": str(folder),
        "password": emulator.password,
    }


def create_project(emulator: Emulator, platform: int, name: str) -> str:
    catalogues = ask(emulator, emulator.gateway_url, TECHNOLOGIES)["repositories"]
    kinds = ("JobTechnology", "SparkTechnology")
    ids = [{"id": one["id"]} for row in catalogues for one in row["technologies"] if one["__typename"] in kinds]
    allowed = [{"jobCategory": kind, "technologies": ids} for kind in ("Extraction", "Processing", "Smart App")]
    url = f"{emulator.url}/projects/api/platform/{platform}/graphql"
    wish = {"name": name, "technologiesByCategory": allowed}
    return ask(emulator, url, CREATE_PROJECT, project=wish)["createProject"]["id"]


def ask(emulator: Emulator, url: str, document: str, **variables: Any) -> dict[str, Any]:
    request = urllib.request.Request(
        url,
        data=json.dumps({"query": document, "variables": variables}).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {emulator.log_in()}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["data"]


def symbolic(value: Any) -> Any:
    """Put a symbol for each id, by when it first appears, and one word for all times."""
    seen: dict[str, str] = {}

    def of_text(text: str) -> str:
        return TIME.sub("TIME", UUID.sub(lambda found: seen.setdefault(found[0], f"<id {len(seen) + 1}>"), text))

    def of(inner: Any) -> Any:
        if isinstance(inner, dict):
            return {of_text(key): of(inner[key]) for key in sorted(inner)}
        if isinstance(inner, list):
            return [of(one) for one in inner]
        return of_text(inner) if isinstance(inner, str) else inner

    return of(value)


def part_of(answer: Any, path: str) -> Any:
    """Follow a path into an answer; a path that leads nowhere gives MISSING."""
    for name in path.split(".") if path else ():
        try:
            answer = answer[int(name) if isinstance(answer, list) else name]
        except (KeyError, IndexError, TypeError):
            return MISSING
    return answer


def drop(answer: Any, path: str) -> None:
    where, _, last = path.rpartition(".")
    part_of(answer, where).pop(last, None)


def shown(answer: Any, part: str) -> Any:
    """Give what a difference is about: that it raised, or a part of what it answered."""
    if isinstance(answer, dict) and "raised" in answer:
        return Raises(answer["raised"][0])
    return part_of(answer, part)


def test_answers_are_equal(sides: Sides) -> None:
    official, ours = (symbolic([side.answers[one.name] for one in ALIKE]) for side in sides)
    apart = {}
    for one, theirs, our in zip(ALIKE, official, ours, strict=True):
        for path in (path for name, path in FIELDS if name == one.name):
            assert part_of(theirs, path) != part_of(our, path), (one.name, path)
            for answer in (theirs, our):
                drop(answer, path)
        if our != theirs or "raised" in str(our):
            apart[one.name] = (theirs, our)
    assert apart == {}


def test_a_job_that_moves_to_another_platform_arrives_whole(sides: Sides) -> None:
    arrived = []
    for side in sides:
        url = f"{side.emulator.url}/projects/api/platform/{OTHER_PLATFORM}/graphql"
        (job,) = ask(side.emulator, url, JOBS, project=side.names["far"])["jobs"]
        assert job["id"] == side.answers["moved away"]["moveJob"]
        assert side.download(job["versions"][0]["packageInfo"]["downloadUrl"]) == played_calls.SLEEPS.encode()
        arrived.append(symbolic(job))
    assert arrived[0] == arrived[1]
    assert (arrived[0]["name"], len(arrived[0]["versions"])) == ("by default", 1)


def exported(side: Side, folder: str) -> dict[str, Any]:
    """Read all files below a folder: settings as JSON, all others as bytes."""
    root = side.folder / folder
    ids = {side.answers["id"]: "JOB", side.answers["bash"]["data"]["createJob"]["id"]: "BASH"}
    found = {}
    for file in sorted(path for path in root.rglob("*") if path.is_file()):
        job_id, *rest = file.relative_to(root).parts
        name = "/".join([ids.get(job_id, "SPARK"), *rest])
        found[name] = symbolic(json.loads(file.read_text())) if file.suffix == ".json" else file.read_bytes()
    return found


@pytest.mark.parametrize("folder", ["exported", "current", "two"])
def test_exported_folders_are_equal(sides: Sides, folder: str) -> None:
    theirs, ours = (exported(side, folder) for side in sides)
    assert theirs.keys() == ours.keys()
    assert theirs == ours
    assert "JOB/job.json" in ours or "BASH/job.json" in ours


def test_what_one_exports_the_other_imports(sides: Sides) -> None:
    for importer, exporter in (sides, sides[::-1]):
        kinds = {
            "job": exporter.answers["id"],
            "bash": exporter.answers["bash"]["data"]["createJob"]["id"],
            "spark": exporter.answers["spark"]["data"]["createJob"]["id"],
        }
        steps = []
        for kind, job_id in kinds.items():
            folder = str(exporter.folder / "exported" / job_id)
            steps += [
                step(f"import {kind}", "import_from_json", project_id="$crosswise", path_to_folder=folder),
                step(f"id of {kind}", "get_id", job_name=kind, project_name="$crosswise_name"),
                step(f"info of {kind}", "get_info", job_id=f"$id of {kind}"),
            ]
        answers = importer.play(steps)
        for kind, job_id in kinds.items():
            was = json.loads((exporter.folder / "exported" / job_id / "job.json").read_text())
            job = answers[f"info of {kind}"]["job"]
            left_out = LEFT_OUT_BY_THE_OFFICIAL_IMPORT if isinstance(importer, Official) else {}
            assert answers[f"import {kind}"] is True
            assert settings(job) == settings(was) | left_out, kind
            package = job["versions"][0]["packageInfo"]
            assert (package is None) == (kind == "bash")
            assert package is None or importer.download(package["downloadUrl"]) == played_calls.SLEEPS.encode()


def settings(job: dict[str, Any]) -> dict[str, Any]:
    """Give what an import has to bring over."""
    of_job = (
        "name", "description", "category", "isScheduled", "cronScheduling", "scheduleTimezone", "resources", "alerting",
    )  # fmt: skip
    of_version = ("runtimeVersion", "commandLine", "releaseNote", "extraTechnology", "dockerInfo", "sourceUrl")
    version = next(one for one in job["versions"] if one["isCurrent"])
    return {
        **{field: job[field] for field in of_job},
        **{field: version[field] for field in of_version},
        "technology": job["technology"]["id"],
        "file": version["packageInfo"] and version["packageInfo"]["name"],
    }


def test_where_answers_differ_they_differ_as_the_table_says(sides: Sides) -> None:
    """Where theirs hides an error, prints, exits, waits for ever or loses what is not given, ours does not."""
    steps = [one.step if isinstance(one, Difference) else one for one in differing_calls.SCRIPT]
    theirs, ours = (side.play(steps) for side in sides)
    apart = {}
    for one in differing_calls.SCRIPT:
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


def test_no_method_is_left_out() -> None:
    called = {one.method for one in ALIKE}
    methods = {name for name, _ in inspect.getmembers(Jobs, inspect.isfunction) if not name.startswith("_")}
    assert methods - called == OURS_ALONE
