"""Reads GraphQL requests: JSON, or multipart where a file comes along."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ariadne.exceptions import HttpBadRequestError
from ariadne.file_uploads import combine_multipart_data
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.datastructures import Headers
    from starlette.requests import Request


JSON, UPLOAD = "application/json", "multipart/form-data"


class BadRequestError(Exception):
    """The request is no GraphQL request; the message says why."""


def media_type(headers: Headers) -> str:
    """Tell what a body says that it is.

    :param headers: the request's headers.
    :return: for example `application/json`; empty where it does not say.
    """
    return headers.get("content-type", "").split(";")[0].strip().lower()


@asynccontextmanager
async def graphql_request(request: Request) -> AsyncIterator[dict[str, Any]]:
    """Read a request; its files are there until the block ends.

    :param request: the HTTP request.
    :return: query, variables and operationName.
    :raises BadRequestError: where it is no GraphQL request.
    """
    if media_type(request.headers) != UPLOAD:
        yield _checked(_parsed(await request.body(), "The body"))
        return
    try:
        form = await request.form(max_files=10, max_fields=10, max_part_size=10 << 20)
    except HTTPException as error:
        raise BadRequestError(f"The body is no multipart form: {error.detail}") from error
    try:
        operations = _checked(_parsed(form.get("operations"), "The part 'operations'"))
        places = _parsed(form.get("map"), "The part 'map'")
        files = {name: part for name, part in form.items() if isinstance(part, UploadFile)}
        try:
            combined = combine_multipart_data(operations, places, files)
        except (HttpBadRequestError, RecursionError) as error:
            said = getattr(error, "message", None)
            raise BadRequestError(said or "The multipart request can't be put together") from error
        yield _checked(combined)
    finally:
        await form.close()


async def json_object(request: Request) -> dict[str, Any]:
    """Read a JSON object that was sent as one.

    Where no token is asked for, this keeps strangers' pages out: a browser sends them multipart, but no JSON.

    :param request: the HTTP request.
    :return: the object.
    :raises BadRequestError: where the body holds something else, or its content type says so.
    """
    if media_type(request.headers) != JSON:
        raise BadRequestError(f"The body has to be sent as {JSON}")
    found = _parsed(await request.body(), "The body")
    if not isinstance(found, dict):
        raise BadRequestError("The body has to be a JSON object")
    return found


def _parsed(text: Any, what: str) -> Any:
    try:
        found = json.loads(text)
        # Half of a surrogate pair is no text: it could be neither stored nor answered.
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BadRequestError(f"{what} holds half of a surrogate pair") from error
    except RecursionError as error:
        raise BadRequestError(f"{what} is nested too deeply") from error
    except (TypeError, ValueError) as error:
        raise BadRequestError(f"{what} is no JSON") from error
    return found


def _checked(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict) or not isinstance(data.get("query"), str):
        raise BadRequestError("The request has to be an object whose 'query' is a GraphQL document")
    if not isinstance(data.get("variables"), dict | None):
        raise BadRequestError("'variables' has to be an object")
    if not isinstance(data.get("operationName"), str | None):
        raise BadRequestError("'operationName' has to be a string")
    return data
