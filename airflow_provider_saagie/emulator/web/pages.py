"""Pages for people, on the paths that Saagie's own have. They show, and change nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import UUID

from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from airflow_provider_saagie.emulator import catalogue
from airflow_provider_saagie.emulator.clock import now_ms
from airflow_provider_saagie.emulator.engine.schedule import next_tick
from airflow_provider_saagie.emulator.errors import NotFoundError
from airflow_provider_saagie.emulator.resolvers.instances import is_password
from airflow_provider_saagie.emulator.store import instances, jobs, logs, projects, versions
from airflow_provider_saagie.emulator.web.paths import PLATFORM
from airflow_provider_saagie.emulator.web.rendering import HERE, number_from, page

if TYPE_CHECKING:
    from starlette.requests import Request

    from airflow_provider_saagie.emulator.app import Parts
    from airflow_provider_saagie.emulator.store.records import Job, Project

_SHOWN_INSTANCES = 50
_SHOWN_LINES = 5_000
_FIRST_STRONG, _POP = "\u2068", "\u2069"  # keep the direction of a name's script to the name
_STREAMS = ("STDOUT", "STDERR", "ORCHESTRATION_STDOUT", "ORCHESTRATION_STDERR")


def home(request: Request) -> Response:
    """Go to the first platform."""
    parts: Parts = request.app.state.parts
    return RedirectResponse(f"/projects/platform/{parts.settings.platforms[0]}")


def platform_page(request: Request) -> Response:
    """Show a platform's projects, and how Airflow gets there."""
    parts: Parts = request.app.state.parts
    platform = int(request.path_params["platform"])
    if platform not in parts.settings.platforms:
        return nowhere(request)
    found = projects.list_projects(parts.database, platform)
    counted = [(one, jobs.count_jobs(parts.database, one.id)) for one in found]
    return page(
        request,
        "platform.html",
        platform=platform,
        projects=counted,
        address=str(request.base_url).rstrip("/"),
        login=parts.settings.login,
        extra=json.dumps({"realm": parts.settings.realm, "platform_id": platform}),
    )


def project_page(request: Request) -> Response:
    """Show a project's jobs."""
    parts: Parts = request.app.state.parts
    platform, project, _ = _found(request)
    if project is None:
        return nowhere(request)
    listed = [
        (job, _technology(job), next(iter(instances.list_instances(parts.database, job.id, 1)), None))
        for job in jobs.list_jobs(parts.database, project.id)
    ]
    live = any(latest is not None and latest.ended_at is None for _, _, latest in listed)
    return page(request, "project.html", platform=platform, project=project, jobs=listed, live=live)


def job_page(request: Request) -> Response:
    """Show a job with its versions and instances."""
    parts: Parts = request.app.state.parts
    platform, project, job = _found(request)
    if job is None:
        return nowhere(request)
    skip = number_from(request, "skip")
    found = instances.list_instances(parts.database, job.id, _SHOWN_INSTANCES, skip)
    return page(
        request,
        "job.html",
        platform=platform,
        project=project,
        job=job,
        technology=_technology(job),
        due=next_tick(job.cron or "", job.timezone, now_ms()) if job.is_scheduled else None,
        versions=versions.list_versions(parts.database, job.id),
        instances=found,
        total=instances.count_instances(parts.database, job.id),
        skip=skip,
        step=_SHOWN_INSTANCES,
        live=any(one.ended_at is None for one in found),
    )


def instance_page(request: Request) -> Response:
    """Show an instance with what it has been through and its log; `from` leaves out the lines before that one."""
    parts: Parts = request.app.state.parts
    platform, project, job = _found(request)
    instance = instances.find_instance(parts.database, platform, request.path_params["instance"])
    if job is None or instance is None or instance.job_id != job.id:
        return nowhere(request)
    total = logs.count_lines(parts.database, instance.id, _STREAMS)
    skipped = number_from(request, "from") or max(0, total - _SHOWN_LINES)
    lines = logs.read_lines(parts.database, instance.id, _STREAMS, _SHOWN_LINES, skipped)
    outputs = instance.outputs or {}
    return page(
        request,
        "instance.html",
        platform=platform,
        project=project,
        job=job,
        instance=instance,
        history=instances.history(parts.database, instance),
        lines=lines,
        skipped=skipped,
        next=skipped + len(lines),
        outputs={name: "(a password)" if is_password(name) else value for name, value in outputs.items()},
        live=instance.ended_at is None or skipped + len(lines) < total,
    )


def whole_log(request: Request) -> Response:
    """Show all that is kept of an instance's output, as text."""
    parts: Parts = request.app.state.parts
    try:
        instance = instances.require_instance(parts.database, request.path_params["instance"])
    except NotFoundError as error:
        return PlainTextResponse(f"{error}\n", 404)
    lines = logs.read_lines(parts.database, instance.id, _STREAMS)
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return PlainTextResponse("".join(f"{line.value}\n" for line in lines), headers=headers)


def icon(_: Request) -> Response:
    """Show the icon also where no page names it: beside a log as text."""
    return FileResponse(HERE / "static" / "icon.svg")


def nowhere(request: Request) -> Response:
    """Say what is not there, or not any more, and lead to the nearest that is."""
    parts: Parts = request.app.state.parts
    platform, project, job = _found(request)
    links = [("the projects", "/")]
    if platform in parts.settings.platforms:
        links = [(f"Platform {platform}", f"/projects/platform/{platform}")]
    if project is not None:
        links.append((project.name, f"{links[0][1]}/project/{project.id}"))
    if job is not None:
        links.append((job.name, f"{links[-1][1]}/job/{job.id}"))
    heading, text = _what_is_missing(request, job)
    return page(request, "missing.html", 404, heading=heading, text=text, links=links)


def _what_is_missing(request: Request, job: Job | None) -> tuple[str, str]:
    wanted = request.path_params
    if "instance" in wanted and job is not None and _is_id(wanted["instance"]):
        name = f"{_FIRST_STRONG}{job.name}{_POP}"
        return (
            "This instance was deleted",
            f"The job {name} has no instance {wanted['instance']} any more. Its log went with it.",
        )
    for kind in ("instance", "job", "project"):
        if _is_id(wanted.get(kind, "")):
            return (
                f"This {kind} is not here",
                f"There is no {kind} {wanted[kind]}. It may have been deleted, or be in another place.",
            )
    return "There is nothing here", "The address leads nowhere."


def _found(request: Request) -> tuple[int, Project | None, Job | None]:
    """Look up what a path names; a job counts only inside its own project."""
    parts: Parts = request.app.state.parts
    wanted = request.path_params
    platform = int(wanted.get("platform", 0))
    project = projects.find_project(parts.database, platform, wanted.get("project", ""))
    job = jobs.find_job(parts.database, platform, wanted.get("job", ""))
    inside = job is not None and project is not None and job.project_id == project.id
    return platform, project, job if inside else None


def _technology(job: Job) -> str:
    return catalogue.technologies()[job.technology_id].label


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


_PLATFORM = f"/projects/{PLATFORM}"
_JOB = _PLATFORM + "/project/{project}/job/{job}"

ROUTES = (
    Route("/", home),
    Route("/projects", home),
    Route(_PLATFORM, platform_page),
    Route(_PLATFORM + "/project/{project}", project_page),
    Route(_JOB, job_page),
    Route(_JOB + "/instances/{instance}", instance_page),
    Route("/projects/platform/{rest:path}", nowhere),
    Route("/emulator/instances/{instance}/log", whole_log),
    Route("/favicon.ico", icon),
    Mount("/emulator/static", StaticFiles(directory=HERE / "static")),
)
