"""Pages for people, on the paths that Saagie's own have. They show, and change nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from airflow_provider_saagie.emulator import catalogue
from airflow_provider_saagie.emulator.clock import now_ms
from airflow_provider_saagie.emulator.store import instances, jobs, logs, projects, versions

if TYPE_CHECKING:
    from starlette.requests import Request

    from airflow_provider_saagie.emulator.app import Parts
    from airflow_provider_saagie.emulator.store.records import Instance

_HERE = Path(__file__).parent.parent
_SHOWN_INSTANCES = 50
_SHOWN_LINES = 5_000
_STREAMS = ("STDOUT", "STDERR", "ORCHESTRATION_STDOUT", "ORCHESTRATION_STDERR")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'self'; script-src 'self';"
    " connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


async def home(request: Request) -> Response:
    """Go to the first platform."""
    parts: Parts = request.app.state.parts
    return RedirectResponse(f"/projects/platform/{parts.settings.platforms[0]}")


async def platform_page(request: Request) -> Response:
    """Show a platform's projects."""
    parts: Parts = request.app.state.parts
    platform = int(request.path_params["platform"])
    if platform not in parts.settings.platforms:
        return _missing(request, f"Platform {platform}")
    found = projects.list_projects(parts.database, platform)
    counted = [(one, jobs.count_jobs(parts.database, one.id)) for one in found]
    return _page(request, "platform.html", platform=platform, projects=counted)


async def project_page(request: Request) -> Response:
    """Show a project's jobs."""
    parts: Parts = request.app.state.parts
    platform, project_id = int(request.path_params["platform"]), request.path_params["project"]
    project = projects.find_project(parts.database, platform, project_id)
    if project is None:
        return _missing(request, f"Project {project_id}")
    listed = [
        (job, catalogue.technologies()[job.technology_id], next(iter(_latest(parts, job.id, 1)), None))
        for job in jobs.list_jobs(parts.database, project.id)
    ]
    live = any(latest is not None and latest.ended_at is None for _, _, latest in listed)
    return _page(request, "project.html", platform=platform, project=project, jobs=listed, live=live)


async def job_page(request: Request) -> Response:
    """Show a job with its versions and instances."""
    parts: Parts = request.app.state.parts
    platform, job_id = int(request.path_params["platform"]), request.path_params["job"]
    job = jobs.find_job(parts.database, platform, job_id)
    project = projects.find_project(parts.database, platform, request.path_params["project"])
    if job is None or project is None or job.project_id != project.id:
        return _missing(request, f"Job {job_id}")
    found = _latest(parts, job.id, _SHOWN_INSTANCES)
    return _page(
        request,
        "job.html",
        platform=platform,
        project=project,
        job=job,
        technology=catalogue.technologies()[job.technology_id],
        versions=versions.list_versions(parts.database, job.id),
        instances=found,
        total=instances.count_instances(parts.database, job.id),
        live=any(one.ended_at is None for one in found),
    )


async def instance_page(request: Request) -> Response:
    """Show an instance with what it has been through and its log."""
    parts: Parts = request.app.state.parts
    platform, instance_id = int(request.path_params["platform"]), request.path_params["instance"]
    job = jobs.find_job(parts.database, platform, request.path_params["job"])
    project = projects.find_project(parts.database, platform, request.path_params["project"])
    instance = instances.find_instance(parts.database, platform, instance_id)
    if instance is None or job is None or project is None or (instance.job_id, job.project_id) != (job.id, project.id):
        return _missing(request, f"Instance {instance_id}")
    total = logs.count_lines(parts.database, instance_id, _STREAMS)
    skipped = max(0, total - _SHOWN_LINES)
    return _page(
        request,
        "instance.html",
        platform=platform,
        project=project,
        job=job,
        instance=instance,
        history=instances.history(parts.database, instance),
        lines=logs.read_lines(parts.database, instance_id, _STREAMS, _SHOWN_LINES, skipped),
        skipped=skipped,
        live=instance.ended_at is None,
    )


def _latest(parts: Parts, job_id: str, count: int) -> list[Instance]:
    return instances.list_instances(parts.database, job_id, count)


def _page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    parts: Parts = request.app.state.parts
    values = {"live": False, "platforms": parts.settings.platforms, "now": now_ms(), **values}
    return HTMLResponse(_TEMPLATES.get_template(template).render(values), status, _HEADERS)


def _missing(request: Request, what: str) -> Response:
    return _page(request, "missing.html", 404, what=what)


def _moment(value: int | None) -> str:
    return "" if value is None else f"{datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def _duration(milliseconds: int) -> str:
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(moment=_moment, duration=_duration)
    return environment


_TEMPLATES = _templates()
_PLATFORM = "/projects/platform/{platform:int}"
_JOB = _PLATFORM + "/project/{project}/job/{job}"

ROUTES = (
    Route("/", home),
    Route("/projects", home),
    Route(_PLATFORM, platform_page),
    Route(_PLATFORM + "/project/{project}", project_page),
    Route(_JOB, job_page),
    Route(_JOB + "/instances/{instance}", instance_page),
    Mount("/emulator/static", StaticFiles(directory=_HERE / "static")),
)
