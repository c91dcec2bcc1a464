"""`make contract`: check on a platform what we assume about Saagie.

It says first what it makes and deletes. The address comes from the environment: SAAGIE_URL (or a whole address copied
from the browser), SAAGIE_LOGIN, SAAGIE_PASSWORD, and where needed SAAGIE_REALM, SAAGIE_PLATFORM and SAAGIE_VERIFY.
SAAGIE_PROJECT names a project to work in; without it, one is made and deleted. SAAGIE_RUNTIME is the version of Python
that the jobs ask for, 3.11 without it.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow_provider_saagie.client import definitions, deployment, instances, logs, projects, purge, technologies
from airflow_provider_saagie.client.async_session import AsyncSession
from airflow_provider_saagie.client.deployment import JobChange
from airflow_provider_saagie.client.documents import watch_text
from airflow_provider_saagie.client.outcomes import Answer
from airflow_provider_saagie.client.session import Session
from airflow_provider_saagie.client.settings import Settings, read_settings
from airflow_provider_saagie.exceptions import SaagieApiError, SaagieAuthError, SaagieError

NOBODY = "00000000-0000-4000-8000-000000000000"
CODE = "import sys\nprint('one')\nprint('two', file=sys.stderr)\nprint('three')\n"
LONG = "import time\ntime.sleep(600)\n"
FAILS = "raise SystemExit(3)\n"
PATIENCE = 300.0  # seconds for a small job to end, on a busy platform
CATEGORIES = ("Extraction", "Processing", "Smart App")


@dataclass
class Platform:
    """What the checks work on, and what earlier ones have found."""

    session: AsyncSession
    settings: Settings
    project: str
    project_id: str = ""
    folder: Path = field(default_factory=Path)
    jobs: dict[str, str] = field(default_factory=dict)
    ended: dict[str, instances.JobInstance] = field(default_factory=dict)

    async def ask(self, text: str, **variables: Any) -> Answer:
        """Send a query of the checks' own, which is not one of the client's."""
        name = text.split("(")[0].split("{")[0].split()[1]
        outcome = await self.session.send_text(name, text, variables)
        assert isinstance(outcome, Answer), f"{name} was answered with {outcome}"
        return outcome

    async def run_to_the_end(self, job: str) -> instances.JobInstance:
        """Run a job and wait for its end."""
        started = await self.session.run(instances.run(self.jobs[job]))
        return await self.end_of(started["runJob"]["id"])

    async def end_of(self, instance_id: str) -> instances.JobInstance:
        """Wait for an instance's end."""
        limit = asyncio.get_running_loop().time() + PATIENCE
        while asyncio.get_running_loop().time() < limit:
            instance = await self.session.run(instances.read_instance(instance_id))
            assert instance is not None, "the instance was deleted meanwhile"
            if instance.end_time:
                return instance
            await asyncio.sleep(0.3)
        raise AssertionError(f"{instance_id} did not end in {PATIENCE:.0f} s")


Check = Callable[[Platform], Awaitable[None]]
CHECKS: list[tuple[tuple[str, ...], Check]] = []


def shows(*assumptions: str) -> Callable[[Check], Check]:
    """Name the rows of docs/assumptions.md that a check shows: the beginning of their first cell."""

    def register(check: Check) -> Check:
        CHECKS.append((assumptions, check))
        return check

    return register


@shows(
    "Login is `POST", "The answer's body is the token", "Jobs, projects, instances and logs", "An answer in GraphQL has"
)
async def _log_in(at: Platform) -> None:
    assert (await at.session.run(projects.read_platform()))["id"] == at.settings.platform_id


@shows("Bad credentials or a wrong realm", "A login may hold several tokens")
async def _refuse_a_wrong_password(at: Platform) -> None:
    from dataclasses import replace

    async with AsyncSession(replace(at.settings, password="not the password", retries=0)) as other:  # noqa: S106
        try:
            await other.log_in()
        except SaagieAuthError:
            pass
        else:
            raise AssertionError("a wrong password was taken")
    async with AsyncSession(at.settings) as other:
        await other.run(projects.read_platform())
    await at.session.run(projects.read_platform())


@shows("The number of a platform that is not there")
async def _miss_a_platform(at: Platform) -> None:
    from dataclasses import replace

    async with AsyncSession(replace(at.settings, platform_id=987654, retries=0)) as other:
        try:
            await other.run(projects.read_platform())
        except SaagieError:
            return
    raise AssertionError("a platform that is not there answered")


@shows("An unknown job, instance, project or technology is null", "The path of an error begins", "A document with 100")
async def _miss_things(at: Platform) -> None:
    outcome = await at.session.send_text(
        "watchInstances", watch_text(100), {f"i{n}": str(uuid.uuid4()) for n in range(100)}
    )
    assert isinstance(outcome, Answer), f"100 fields were answered with {outcome}"
    assert outcome.data, f"no data, but {outcome.errors}"
    assert all(value is None for value in outcome.data.values())
    assert all(str(error.get("path", ["i"])[0]).startswith("i") for error in outcome.errors)
    answer = await at.ask("query miss($id: UUID!) { job(id: $id) { id } project(id: $id) { id } }", id=NOBODY)
    assert answer.data == {"job": None, "project": None}


@shows("GraphQL errors come with HTTP 200", "The classification `NOT_FOUND` is a missing thing")
async def _refuse_to_run_nothing(at: Platform) -> None:
    try:
        await at.session.run(instances.run(NOBODY))
    except SaagieApiError as error:
        assert error.messages, "the refusal has no message"
        assert error.classification == "NOT_FOUND", f"the classification is {error.classification}"
    else:
        raise AssertionError("a job that is not there was started")


@shows("The technology catalogue: `{host}/gateway", "A catalogue is a repository", "A technology is known by its label",
       "`runtimeVersion` is the id of a context", "A project lists its technologies by category")  # fmt: skip
async def _find_technologies(at: Platform) -> None:
    allowed = await at.session.run(projects.get_project_technologies(at.project_id))
    python = await at.session.run(technologies.find_technology("PYTHON", "saagie", allowed, "Processing"))
    await at.session.run(technologies.check_runtime(python, os.environ.get("SAAGIE_RUNTIME", "3.11")))


@shows("Uploads follow the GraphQL multipart", "The uploaded file's name becomes", "The version of a job that was just",
       "`isStreaming` and `doesUseGPU` are false", "Resources: cpu, memory, gpu", "A cron has five fields")  # fmt: skip
async def _make_a_job(at: Platform) -> None:
    for name, code in (("good", CODE), ("fails", FAILS), ("long", LONG)):
        file = at.folder / f"{name}.py"
        file.write_text(code)
        change = JobChange(
            job_name=f"contract {name}",
            file=str(file),
            runtime_version=os.environ.get("SAAGIE_RUNTIME", "3.11"),
            command_line="python {file}",
            description="made by make contract",
            resources={"cpu": {"request": 0.1, "limit": 0.5}, "memory": {"request": 0.1, "limit": 0.5}},
        )
        made = await at.session.run(deployment.create(at.project_id, change))
        assert made["data"]["createJob"]["versions"][0]["number"] == 1
        at.jobs[name] = made["data"]["createJob"]["id"]
    job = (await at.session.run(definitions.get_info(at.jobs["good"], 1, 1, True)))["job"]
    assert job["versions"][0]["packageInfo"]["name"] == "good.py"
    assert (job["isStreaming"], bool(job["doesUseGPU"])) == (False, False)


@shows("`packageInfo.downloadUrl` is a path", "What is downloaded equals what was uploaded")
async def _download(at: Platform) -> None:
    job = (await at.session.run(definitions.get_info(at.jobs["good"], 1, 1, True)))["job"]

    def read() -> bytes:
        with Session(at.settings) as session:
            return b"".join(session.download(job["versions"][0]["packageInfo"]["downloadUrl"]))

    assert await asyncio.to_thread(read) == CODE.encode()


@shows("`usePreviousArtifact` keeps the file", "A new version needs its command line", "`versions(onlyCurrent: true)`",
       "`sourceUrl` belongs to a version")  # fmt: skip
async def _upgrade(at: Platform) -> None:
    await at.session.run(deployment.upgrade(at.jobs["good"], JobChange(source_url="https://example.com/1")))
    await at.session.run(deployment.upgrade(at.jobs["good"], JobChange()))
    (version,) = (await at.session.run(definitions.get_info(at.jobs["good"], 1, None, True)))["job"]["versions"]
    assert (version["number"], version["packageInfo"]["name"]) == (3, "good.py")
    assert (version["commandLine"], version["sourceUrl"]) == ("python {file}", None)


@shows(
    "`editJob` leaves alone what is not sent", "`editJob` sets to null what is sent as null", "A schedule's cron and"
)
async def _edit(at: Platform) -> None:
    job_id = at.jobs["good"]
    before = (await at.session.run(definitions.get_info(job_id, 1, 1, True)))["job"]
    await at.session.run(deployment.edit(job_id, JobChange(emails=["nobody@example.com"], cron_scheduling="0 0 1 1 *")))
    await at.session.run(deployment.edit(job_id, JobChange(is_scheduled=False)))
    await at.session.run(deployment.edit(job_id, JobChange(emails=[])))
    after = (await at.session.run(definitions.get_info(job_id, 1, 1, True)))["job"]
    assert (after["alias"], after["resources"], after["isScheduled"]) == (before["alias"], before["resources"], False)
    assert not (after["alerting"] or {}).get("emails")


@shows("`runJob` takes a job's id and nothing else", "It answers with the instance's id", "`SUCCEEDED`, `FAILED`,",
       "`history.currentStatus` replaces", "`startTime` and `endTime` are ISO 8601", "`number` rises within a job",
       "`runTrigger.author` and `stopTrigger.author`")  # fmt: skip
async def _run(at: Platform) -> None:
    first = await at.run_to_the_end("good")
    second = await at.run_to_the_end("good")
    failed = await at.run_to_the_end("fails")
    at.ended = {"first": first, "second": second, "failed": failed}
    assert (first.status, second.status, failed.status) == ("SUCCEEDED", "SUCCEEDED", "FAILED")
    assert (first.number or 0) < (second.number or 0)
    for moment in (first.start_time, first.end_time):
        assert datetime.fromisoformat(str(moment)).tzinfo is not None
    assert first.run_by == at.settings.login, f"it says that {first.run_by} started it"


@shows("`Job.instances` gives the newest first", "`Job.instances(limit, skip)` gives pages")
async def _list(at: Platform) -> None:
    newest = await at.session.run(instances.list_instances(at.jobs["good"], limit=1))
    older = await at.session.run(instances.list_instances(at.jobs["good"], limit=1, skip=1))
    assert [one.id for one in newest + older] == [at.ended["second"].id, at.ended["first"].id]


@shows("`filteredLogs` gives the lines of the streams", "The job's own streams are", "`skip` and `limit` count lines",
       "`value` is one line", "All lines are there once the status is final")  # fmt: skip
async def _read_logs(at: Platform) -> None:
    instance_id = at.ended["second"].id
    lines = await at.session.run(logs.read_log(instance_id))
    assert sorted(line.text for line in lines) == ["one", "three", "two"], f"the log is {lines}"
    assert await at.session.run(logs.count_log_lines(instance_id, streams=["STDOUT"])) == 2
    (last,) = await at.session.run(logs.read_log(instance_id, skip=1, limit=1, streams=["STDOUT"]))
    assert last.text == "three"


@shows("`stopJobInstance` answers at once with KILLING", "Stopping what has ended, or stopping twice")
async def _stop(at: Platform) -> None:
    started = await at.session.run(instances.run(at.jobs["long"]))
    instance_id = started["runJob"]["id"]
    await at.session.run(instances.stop(instance_id))
    stopped = await at.end_of(instance_id)
    assert (stopped.status, stopped.stopped_by) == ("KILLED", at.settings.login)
    with suppress(SaagieApiError):  # a refusal harms nothing either
        await at.session.run(instances.stop(instance_id))
    again = await at.session.run(instances.read_instance(instance_id))
    assert again is not None
    assert again.status == "KILLED"


@shows("Only ended instances go", "`deleteJobInstances` says of each instance", "A date is compared with `startTime`",
       "`include` wins over `exclude`")  # fmt: skip
async def _delete(at: Platform) -> None:
    job_id = at.jobs["good"]
    first, second = at.ended["first"].id, at.ended["second"].id
    assert {one.id for one in await at.session.run(purge.list_deletable(job_id))} == {first, second}
    none = await at.session.run(instances.delete_instances_by_date(job_id, "2000-01-01T00:00:00Z", None, None))
    assert none == {"deleteJobInstancesByDate": 0}
    one = await at.session.run(instances.delete_instances_by_selector(job_id, "ALL", [first, second], [first]))
    assert one == {"deleteJobInstancesBySelector": 1}
    gone = await at.session.run(instances.delete_instances(job_id, [second]))
    assert gone == {"deleteJobInstances": [{"id": second, "success": True}]}


async def check(settings: Settings, project: str | None, say: Callable[[str], None] = print) -> list[str]:
    """Run all checks on a platform.

    :param settings: the platform.
    :param project: the name of a project to work in; None makes one, and deletes it.
    :param say: told each line of the report.
    :return: what differs from what we assume.
    """
    name = project or f"airflow-provider-saagie contract {uuid.uuid4().hex[:8]}"
    say(f"On {settings.base_url}, platform {settings.platform_id}, as {settings.login}:")
    say(f"  makes and deletes {'three jobs in the project' if project else 'the project'} {name!r}, and what is in it")
    differs: list[str] = []
    with tempfile.TemporaryDirectory(prefix="saagie-contract-") as folder:
        async with AsyncSession(settings) as session:
            at = Platform(session, settings, name, folder=Path(folder))
            async with _project(at, made=project is None):
                for assumptions, one in CHECKS:
                    differs += await _show(at, assumptions, one, say)
    say(f"{len(CHECKS)} checks, {len(differs)} differ.")
    return differs


async def _show(at: Platform, assumptions: tuple[str, ...], one: Check, say: Callable[[str], None]) -> list[str]:
    try:
        await one(at)
    except Exception as error:  # noqa: BLE001 - a platform may differ in any way; the other checks are still worth it
        for assumption in assumptions:
            say(f"  DIFFERS  {assumption}")
        say(f"           {type(error).__name__}: {error}")
        return [f"{one.__name__}: {error}"]
    for assumption in assumptions:
        say(f"  holds    {assumption}")
    return []


@asynccontextmanager
async def _project(at: Platform, *, made: bool) -> AsyncIterator[None]:
    if made:
        answer = await at.ask(
            "mutation createProject($project: ProjectInput!) { createProject(project: $project) { id } }",
            project=await _project_input(at),
        )
        if not answer.data:
            raise SystemExit(f"The project can't be made; name one with SAAGIE_PROJECT. {answer.errors}")
        at.project_id = answer.data["createProject"]["id"]
    else:
        at.project_id = await at.session.run(projects.get_project_id(at.project))
    try:
        yield
    finally:
        for job_id in at.jobs.values():
            for one in await at.session.run(instances.list_instances(job_id, limit=50)):
                if not one.end_time:
                    await at.session.run(instances.stop(one.id))
                    await at.end_of(one.id)
            await at.session.run(definitions.delete(job_id))
        if made:
            await at.ask("mutation deleteProject($id: UUID!) { deleteProject(projectId: $id) }", id=at.project_id)


async def _project_input(at: Platform) -> dict[str, Any]:
    from airflow_provider_saagie.client.calls import Call

    catalogs = (await at.session.send(Call("repositories")))["repositories"]
    ids = [
        {"id": technology["id"]}
        for catalog in catalogs
        if catalog["name"].lower() == "saagie"
        for technology in catalog["technologies"]
        if technology["available"] and technology["__typename"] == "JobTechnology"
    ]
    return {
        "name": at.project,
        "description": "Made by make contract; it may be deleted.",
        "technologiesByCategory": [{"jobCategory": category, "technologies": ids} for category in CATEGORIES],
    }


def main() -> int:
    """Check the platform that the environment names; 1 where something differs."""
    given = os.environ
    if not given.get("SAAGIE_URL"):
        print(__doc__)
        return 2
    settings = read_settings(
        host=given["SAAGIE_URL"],
        login=given.get("SAAGIE_LOGIN"),
        password=given.get("SAAGIE_PASSWORD"),
        extra={
            "realm": given.get("SAAGIE_REALM"),
            "platform_id": given.get("SAAGIE_PLATFORM"),
            "verify": given.get("SAAGIE_VERIFY"),
        },
    )
    return 1 if asyncio.run(check(settings, given.get("SAAGIE_PROJECT"))) else 0


if __name__ == "__main__":
    raise SystemExit(main())
