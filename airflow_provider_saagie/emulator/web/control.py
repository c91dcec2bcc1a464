"""The emulator's own endpoints: faults, figures, and instances moved by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airflow_provider_saagie.emulator.errors import InvalidError, NotFoundError
from airflow_provider_saagie.emulator.resolvers.scalars import parse_uuid
from airflow_provider_saagie.emulator.states import Status
from airflow_provider_saagie.emulator.store import instances
from airflow_provider_saagie.emulator.web.figures import figures_page
from airflow_provider_saagie.emulator.web.guard import refused
from airflow_provider_saagie.emulator.web.paths import FAULT
from airflow_provider_saagie.emulator.web.requests import BadRequestError, json_object

if TYPE_CHECKING:
    from starlette.requests import Request

    from airflow_provider_saagie.emulator.app import Parts

REASONS = (
    "EVICTED",
    "EVICTED_EXEC_VARS",
    "CREATE_AGGREGATED_EXEC_VARS_ERROR",
    "CONTAINER_CREATION_ERROR",
    "IMAGE_PULL_ERROR",
    "INVALID_IMAGE_NAME",
    "OUT_OF_MEMORY",
    "GENERIC_ERROR",
    "WORKFLOW_DELETED",
    "UNEXPECTED_DELETION",
)


async def faults(request: Request) -> Response:
    """Switch a fault on, list them, or clear them."""
    parts: Parts = request.app.state.parts
    if request.method == "DELETE":
        parts.faults.clear()
        return JSONResponse({"faults": []})
    if request.method == "POST":
        try:
            parts.faults.add(await json_object(request))
        except (BadRequestError, InvalidError) as error:
            return refused(400, str(error))
    return JSONResponse({"faults": parts.faults.list_all()})


async def one_fault(request: Request) -> Response:
    """Switch one fault off."""
    parts: Parts = request.app.state.parts
    wanted = int(request.path_params["fault"])
    if not parts.faults.remove(wanted):
        return refused(404, f"No fault has the id {wanted}")
    return JSONResponse({"faults": parts.faults.list_all()})


async def stats(request: Request) -> Response:
    """Count requests."""
    parts: Parts = request.app.state.parts
    return JSONResponse(parts.stats.summary())


async def requests(request: Request) -> Response:
    """List mutations."""
    parts: Parts = request.app.state.parts
    return JSONResponse({"requests": parts.stats.list_mutations()})


async def set_instance(request: Request) -> Response:
    """Give an instance a status, reason and details by hand; its process, if it has one, is ended first."""
    parts: Parts = request.app.state.parts
    try:
        sent = await json_object(request)
        if sent.get("status") not in list(Status):
            raise InvalidError(f"'status' has to be one of {', '.join(Status)}")
        status = Status(sent["status"])
        reason, details = sent.get("reason"), sent.get("details")
        if reason not in (None, *REASONS) or not isinstance(details, str | None):
            raise InvalidError(f"'reason' has to be null or one of {', '.join(REASONS)}, 'details' null or a string")
        instance_id = parse_uuid(request.path_params["instance"])
        parts.engine.forget(instance_id)
        if not instances.move(parts.database, instance_id, status, reason, details, by_hand=True):
            raise NotFoundError(f"Job instance {instance_id} does not exist")
    except NotFoundError as error:
        return refused(404, str(error))
    except (BadRequestError, InvalidError, ValueError) as error:
        return refused(400, str(error))
    return JSONResponse({"id": instance_id, "status": status, "reason": reason, "details": details})


ROUTES = (
    Route("/emulator", figures_page),
    Route("/emulator/faults", faults, methods=["GET", "POST", "DELETE"]),
    Route(f"/emulator/faults/{FAULT}", one_fault, methods=["DELETE"]),
    Route("/emulator/stats", stats),
    Route("/emulator/requests", requests),
    Route("/emulator/instances/{instance}", set_instance, methods=["POST"]),
)
