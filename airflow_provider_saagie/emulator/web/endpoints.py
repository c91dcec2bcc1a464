"""The platform's own endpoints: login, GraphQL, artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from airflow_provider_saagie.emulator.artifacts import path_of
from airflow_provider_saagie.emulator.clock import now_ms, to_iso
from airflow_provider_saagie.emulator.resolvers.context import Context
from airflow_provider_saagie.emulator.stats import Mutation, without_secrets
from airflow_provider_saagie.emulator.store import jobs, versions
from airflow_provider_saagie.emulator.web.guard import refused
from airflow_provider_saagie.emulator.web.paths import PLATFORM, VERSION
from airflow_provider_saagie.emulator.web.requests import BadRequestError, graphql_request, json_object
from airflow_provider_saagie.emulator.web.striking import UNDONE, answer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

    from airflow_provider_saagie.emulator.app import Parts
    from airflow_provider_saagie.emulator.faults import Fault
    from airflow_provider_saagie.emulator.web.graphql import Api, Prepared

_AUTHENTICATE = {"WWW-Authenticate": "Bearer"}
# A test that looks on sends this with its own requests: no fault strikes them, and they are not counted.
OBSERVER = "Saagie-Emulator-Observer"


async def log_in(request: Request) -> Response:
    """Give out a token for login, password and realm."""
    parts: Parts = request.app.state.parts
    fault = _taken(request, ["login"])

    async def work() -> Response:
        try:
            sent = await json_object(request)
        except BadRequestError as error:
            return refused(400, str(error))
        login, password = sent.get("login"), sent.get("password")
        if not isinstance(login, str) or not isinstance(password, str):
            return refused(400, "'login' and 'password' have to be strings")
        token = parts.gate.log_in(login, password, request.headers.get("saagie-realm", ""))
        return PlainTextResponse(token) if token else refused(401, "Login, password or realm is wrong")

    return await answer(fault, work)


async def projects_graphql(request: Request) -> Response:
    """Carry out a document on a platform's projects."""
    parts: Parts = request.app.state.parts
    platform = int(request.path_params["platform"])
    return await _graphql(request, parts, parts.projects_api, platform)


async def gateway_graphql(request: Request) -> Response:
    """Carry out a document on the technology catalogue."""
    parts: Parts = request.app.state.parts
    return await _graphql(request, parts, parts.gateway_api, 0)


async def download(request: Request) -> Response:
    """Send a version's artifact."""
    parts: Parts = request.app.state.parts
    login = _login_of(request)
    if login is None:
        return _unauthenticated()
    fault = _taken(request, ["artifact"])
    wanted = request.path_params

    async def work() -> Response:
        job = jobs.find_job(parts.database, wanted["platform"], wanted["job"])
        version = versions.find_version(parts.database, wanted["job"], wanted["number"])
        known = job is not None and job.project_id == wanted["project"] and version is not None
        if not known or version is None or version.artifact is None or version.artifact_name != wanted["name"]:
            return refused(404, "There is no such artifact")
        return FileResponse(
            path_of(parts.settings.data, version.artifact),
            media_type="application/octet-stream",
            filename=version.artifact_name,
        )

    if fault is not None and fault.what == "expire":
        parts.gate.revoke(_token_of(request))
    return await answer(fault, work)


async def _graphql(request: Request, parts: Parts, api: Api, platform: int) -> Response:
    login = _login_of(request)
    if login is None:
        parts.stats.requests["(unauthenticated)"] += 1
        return _unauthenticated()
    if api is parts.projects_api and platform not in parts.settings.platforms:
        return refused(404, f"Platform {platform} does not exist")
    try:
        async with graphql_request(request) as data:
            text = data["query"]
            prepared = api.remembered(text)
            if prepared is None:
                prepared = await run_in_threadpool(api.prepare, text)
            name = data.get("operationName") or next(iter(prepared.operations), None)
            fault = _taken(request, prepared.fields, name)
            context = Context(parts.database, parts.engine, parts.settings, platform, login)
            listed = prepared.mutates and OBSERVER not in request.headers
            entry = _listed(parts, request, prepared, data, context, name) if listed else None

            async def work() -> Response:
                # In a thread: another request may be waiting for the disk meanwhile.
                found = await run_in_threadpool(api.execute, prepared, data, context)
                if entry is not None:
                    entry.outcome = "errors" if found.get("errors") else "done"
                return JSONResponse(found)

            if fault is not None and fault.what == "expire":
                parts.gate.revoke(_token_of(request))
            if entry is not None and fault is not None and fault.what in UNDONE:
                entry.outcome = fault.what
            return await answer(fault, work)
    except BadRequestError as error:
        return refused(400, str(error))


def _listed(
    parts: Parts, request: Request, prepared: Prepared, data: dict[str, Any], context: Context, name: str | None
) -> Mutation:
    entry = Mutation(
        time=to_iso(now_ms()),
        operation=name,
        fields=prepared.fields,
        variables=without_secrets(data.get("variables") or {}),
        user_agent=request.headers.get("user-agent", ""),
        login=context.login,
        platform=context.platform,
    )
    parts.stats.mutations.append(entry)
    return entry


def _taken(request: Request, fields: Iterable[str], operation: str | None = None) -> Fault | None:
    """Count a request, and find the fault that strikes it."""
    parts: Parts = request.app.state.parts
    if OBSERVER in request.headers:
        return None
    parts.stats.requests[operation or next(iter(fields), "(invalid)")] += 1
    for one in fields:
        parts.stats.fields[one] += 1
    fault = parts.faults.take({*fields, *([operation] if operation else [])})
    if fault is not None:
        parts.stats.faults[fault.what] += 1
    return fault


def _token_of(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _login_of(request: Request) -> str | None:
    parts: Parts = request.app.state.parts
    return parts.gate.who_has(_token_of(request))


def _unauthenticated() -> Response:
    return JSONResponse({"error": "The token is missing or not valid", "status": 401}, 401, _AUTHENTICATE)


ROUTES = (
    Route("/authentication/api/open/authenticate", log_in, methods=["POST"]),
    Route(f"/projects/api/{PLATFORM}/graphql", projects_graphql, methods=["POST"]),
    Route("/gateway/api/graphql", gateway_graphql, methods=["POST"]),
    Route(
        f"/projects/api/{PLATFORM}/project/{{project}}/job/{{job}}/{VERSION}/artifact/{{name}}",
        download,
    ),
)
