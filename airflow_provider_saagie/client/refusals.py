"""The errors that outcomes become: which operation, on which host, what the platform said, what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.client.outcomes import Broken, Fault, Refused
from airflow_provider_saagie.client.redaction import shown
from airflow_provider_saagie.exceptions import (
    SaagieApiError,
    SaagieAuthError,
    SaagieConnectionError,
    SaagieError,
    SaagieNotFound,
    SaagieProtocolError,
    SaagieTimeout,
)

if TYPE_CHECKING:
    from airflow_provider_saagie.client.settings import Settings

__all__ = ["error_of_answer", "error_of_broken", "error_of_refused"]

MOST_MESSAGES = 3


def error_of_broken(operation: str, outcome: Broken, settings: Settings) -> SaagieConnectionError:
    """Give the error of a request that broke on its way.

    :param operation: the call's operation.
    :param outcome: how it broke.
    :param settings: whose host the error names.
    """
    kind = SaagieTimeout if outcome.fault in (Fault.TIMEOUT, Fault.CONNECT_TIMEOUT) else SaagieConnectionError
    advice = {
        Fault.UNKNOWN_NAME: f"check the connection's host{' and its `proxy`' if settings.proxy else ''}.",
        Fault.TLS: _about_the_certificate(outcome.detail),
        Fault.TLS_BROKEN: "check that the connection's host and port speak https.",
        Fault.PROXY: "check the connection's `proxy`.",
        Fault.TIMEOUT: f"the connection's `timeout` is {settings.timeout:g} s.",
        Fault.CONNECT_TIMEOUT: f"check the network; the connection's `timeout` is {settings.timeout:g} s.",
    }.get(outcome.fault, "check the connection's host and the network.")
    detail = f" ({shown(outcome.detail, settings)})" if outcome.detail else ""
    return kind(
        f"{operation}: {settings.base_url} could not be asked: {outcome.fault.words}{detail}; {advice}",
        operation=operation,
        host=settings.base_url,
    )


# OpenSSL's words for what is wrong with a certificate, and what helps; else its authority is not known here.
_OF_CERTIFICATES = {
    "expired": "the platform's certificate has to be renewed; tell its administrator (or set this machine's clock).",
    "not yet valid": "set this machine's clock, or tell the platform's administrator.",
    "mismatch": "set the connection's host to the name that the certificate was made for.",
}


def _about_the_certificate(detail: str) -> str:
    return next(
        (advice for word, advice in _OF_CERTIFICATES.items() if word in detail),
        "set the connection's `verify` to the path of a CA bundle that knows the platform's certificate.",
    )


def error_of_refused(operation: str, outcome: Refused, settings: Settings) -> SaagieError:
    """Give the error of an answer that is no GraphQL: by its status, with what it said.

    :param operation: the call's operation.
    :param outcome: the answer.
    :param settings: whose host and login the error names.
    """
    host, status = settings.base_url, outcome.status
    errors = _errors_in(outcome.body)
    messages = tuple(dict.fromkeys(_message_of(error, settings) for error in errors))
    said = _joined(messages) or shown(outcome.body, settings)
    quoted = f" It said: {said}" if said else ""
    if 300 <= status < 400:
        target = next((value for name, value in outcome.headers.items() if name.lower() == "location"), "nowhere")
        return SaagieProtocolError(
            f"{operation}: {host} redirects to {shown(target, settings)}, and redirects are not followed, since they "
            "could carry the password to another host: set the connection's host to the address itself.",
            operation=operation,
            host=host,
            status=status,
        )
    if status == 401:
        return SaagieAuthError(
            f"{operation}: {host} does not accept the token that it has just given to {settings.login!r}: "
            f"check the login's rights on platform {settings.platform_id}.{quoted}",
            operation=operation,
            host=host,
        )
    if status == 403:
        return SaagieAuthError(
            f"{operation}: {host} denies {settings.login!r} the right to do this on platform {settings.platform_id}: "
            f"ask its administrator for the role that it needs.{quoted}",
            operation=operation,
            host=host,
        )
    if status == 404 and operation == "download":
        return SaagieNotFound(
            f"download: {host} has no such file any more, or {settings.login!r} may not see it.{quoted}",
            operation=operation,
            host=host,
            status=status,
        )
    if status == 404:
        return SaagieNotFound(
            f"{operation}: {host} has no platform {settings.platform_id}, or {settings.login!r} may not see it: "
            f"check the platform number (`platform_id`) in the connection.{quoted}",
            operation=operation,
            host=host,
            status=status,
        )
    if status == 429:
        return SaagieConnectionError(
            f"{operation}: {host} asks for fewer requests (HTTP 429), also after repeating: try again later.{quoted}",
            operation=operation,
            host=host,
        )
    if status >= 500:
        return SaagieConnectionError(
            f"{operation}: {host} is in trouble (HTTP {status}): try again later.{quoted}",
            operation=operation,
            host=host,
        )
    if status >= 400:
        return SaagieApiError(
            f"{operation}: {host} refused the request (HTTP {status}).{quoted}",
            operation=operation,
            host=host,
            messages=messages,
            status=status,
        )
    return SaagieProtocolError(
        f"{operation}: {host} answered with something that is no GraphQL answer (a login or proxy page?): "
        f"check that the connection's host is a Saagie platform.{quoted}",
        operation=operation,
        host=host,
        status=status,
    )


# The platform's classifications, as far as they are more than "refused": see docs/assumptions.md.
_KIND_OF_CLASSIFICATION = {"NOT_FOUND": SaagieNotFound, "FORBIDDEN": SaagieAuthError, "UNAUTHORIZED": SaagieAuthError}


def error_of_answer(operation: str, errors: tuple[Mapping[str, Any], ...], settings: Settings) -> SaagieError:
    """Give the error of an answer's GraphQL errors.

    :param operation: the call's operation.
    :param errors: as they stand in the answer.
    :param settings: whose host and login the error names.
    """
    messages = tuple(dict.fromkeys(_message_of(error, settings) for error in errors))
    extensions = errors[0].get("extensions") if isinstance(errors[0], Mapping) else None
    classification = extensions.get("classification") if isinstance(extensions, Mapping) else None
    classification = shown(str(classification), settings) if classification is not None else None
    path = errors[0].get("path") if isinstance(errors[0], Mapping) else None
    text = f"{operation}: {settings.base_url} refused: {_joined(messages)}"
    if classification:
        text += f" ({classification})"
    kind = _KIND_OF_CLASSIFICATION.get(classification or "", SaagieApiError)
    if kind is SaagieAuthError:
        return SaagieAuthError(
            f"{text}. Ask the platform's administrator for the role that {settings.login!r} needs.",
            operation=operation,
            host=settings.base_url,
        )
    assert issubclass(kind, SaagieApiError)  # noqa: S101 - the table above holds no other
    return kind(
        text,
        operation=operation,
        host=settings.base_url,
        messages=messages,
        classification=classification,
        path=tuple(path) if isinstance(path, list) else (),
    )


def _errors_in(body: str) -> list[Mapping[str, Any]]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):  # no JSON, or brackets without end
        return []
    errors = answer.get("errors") if isinstance(answer, Mapping) else None
    return [error for error in errors if isinstance(error, Mapping)] if isinstance(errors, list) else []


def _message_of(error: object, settings: Settings) -> str:
    message = error.get("message") if isinstance(error, Mapping) else None
    return shown(str(message), settings) if message else "(no message)"


def _joined(messages: tuple[str, ...]) -> str:
    """Join messages, the first few of them: a batch that fails as a whole says the same a hundred times."""
    rest = f" (and {len(messages) - MOST_MESSAGES} more)" if len(messages) > MOST_MESSAGES else ""
    return "; ".join(messages[:MOST_MESSAGES]) + rest
