"""Decides, without I/O: what an outcome means, and whether to ask again, and when."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict
from urllib.parse import urlsplit

from airflow_provider_saagie.client.calls import Call, Pause, Steps
from airflow_provider_saagie.client.documents import document
from airflow_provider_saagie.client.outcomes import Answer, Broken, Fault, Outcome, Refused
from airflow_provider_saagie.client.redaction import shown
from airflow_provider_saagie.client.refusals import error_of_answer, error_of_broken, error_of_refused
from airflow_provider_saagie.exceptions import (
    SaagieAuthError,
    SaagieError,
    SaagieOutcomeUnknown,
    SaagieProtocolError,
)

if TYPE_CHECKING:
    import tenacity

    from airflow_provider_saagie.client.settings import Settings

__all__ = [
    "advance",
    "check_download",
    "clock_ahead",
    "decisions",
    "download_url",
    "is_lost_token",
    "is_web_page",
    "located",
    "login_body",
    "meaning",
    "retry_after",
    "token_of",
    "worth_repeating",
]

LONGEST_WAIT = 30.0
LONGEST_RETRY_AFTER = 120.0
LOGIN = "login"


def meaning(operation: str, outcome: Outcome, settings: Settings, *, is_mutation: bool) -> dict[str, Any]:
    """Say what an outcome means.

    :param operation: the call's operation.
    :param outcome: what came of it.
    :param settings: whose host and login the errors name.
    :param is_mutation: whether a lost answer can have changed something.
    :return: the answer's data.
    :raises SaagieError: the kind that fits; see ``exceptions.py``.
    """
    match outcome:
        case Answer(data=data, errors=()) if isinstance(data, dict):
            return data
        case Answer(errors=()):
            lost: SaagieError = SaagieProtocolError(
                f"{operation} on {settings.base_url} was answered with neither data nor errors that can be read. "
                "Try again; if it stays, tell the platform's administrator.",
                operation=operation,
                host=settings.base_url,
                status=200,
            )
        case Answer(data=data, errors=errors):
            lost = error_of_answer(operation, errors, settings)
            # An error about a part of the answer does not undo a change whose other part came back.
            if not (isinstance(data, dict) and any(value is not None for value in data.values())):
                raise lost
        case Broken():
            lost = error_of_broken(operation, outcome, settings)
            if not outcome.fault.may_have_arrived:
                raise lost
        case Refused(status=status) if 200 <= status < 300 or status >= 500:
            lost = error_of_refused(operation, outcome, settings)
        case Refused():
            raise error_of_refused(operation, outcome, settings)
    if is_mutation:
        _raise_unknown(operation, lost, settings)
    raise lost


def advance(steps: Steps[Any], data: dict[str, Any], *, after: Call | Pause) -> Call | Pause:
    """Hand an answer's data to a client method, and give its next step.

    :param after: the step that the data came of.
    :raises StopIteration: with its result, where it has ended.
    :raises SaagieProtocolError: where the data has another shape than the schema's.
    :raises SaagieOutcomeUnknown: where that is the answer to a change.
    """
    try:
        return steps.send(data)
    except SaagieError:
        raise
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        operation = after.operation if isinstance(after, Call) else None
        what = (
            f"{operation}: the answer has another shape than the published schema's ({type(error).__name__}: {error})"
        )
        if operation and document(operation).is_mutation:
            raise SaagieOutcomeUnknown(
                f"{what}, so it may have happened: look at the platform before you repeat it.", operation=operation
            ) from error
        raise SaagieProtocolError(
            f"{what}. Is the connection's host a Saagie platform?", operation=operation
        ) from error


def located(error: SaagieError, settings: Settings) -> SaagieError:
    """Name the host in an error that was raised where none was known (a check, an id that is not there)."""
    if error.host is None:
        error.host = settings.base_url
        error.args = (f"{error} (Platform {settings.platform_id} of {settings.base_url}.)", *error.args[1:])
    return error


def worth_repeating(outcome: Outcome, *, is_mutation: bool) -> bool:
    """Say whether the same request may be sent again: reads after any passing fault, changes only if surely not done.

    :param outcome: what came of the last try.
    :param is_mutation: whether the request changes something.
    """
    match outcome:
        case Answer():
            return False
        case Broken(fault=Fault.TLS):  # a certificate does not mend itself
            return False
        case Broken(fault=fault):
            return not (is_mutation and fault.may_have_arrived)
        case Refused(status=429):
            return (retry_after(outcome) or 0) <= LONGEST_RETRY_AFTER
        case Refused(status=status):
            return status >= 500 and not is_mutation and (retry_after(outcome) or 0) <= LONGEST_RETRY_AFTER


class Decisions(TypedDict):
    """Arguments of ``tenacity.Retrying``."""

    retry: Callable[[tenacity.RetryCallState], bool]
    stop: Callable[[tenacity.RetryCallState], bool]
    wait: Callable[[tenacity.RetryCallState], float]
    retry_error_callback: Callable[[tenacity.RetryCallState], Any]


def decisions(retries: int, *, is_mutation: bool) -> Decisions:
    """Give tenacity its decisions: whether to go on, when to stop, how long to wait. The last outcome is the result.

    :param retries: how often to repeat at most.
    :param is_mutation: whether the request changes something.
    """

    def last(state: tenacity.RetryCallState) -> Outcome:
        assert state.outcome is not None  # noqa: S101 - tenacity asks only after an attempt
        outcome: Outcome = state.outcome.result()
        return outcome

    return {
        "retry": lambda state: worth_repeating(last(state), is_mutation=is_mutation),
        "stop": lambda state: state.attempt_number > retries,
        "wait": lambda state: _wait(last(state), state.attempt_number),
        "retry_error_callback": last,
    }


def is_lost_token(outcome: Outcome) -> bool:
    """Say whether the platform no longer takes our token: log in again, once, and send the call again."""
    return isinstance(outcome, Refused) and outcome.status == 401


def check_download(path: str, settings: Settings) -> None:
    """Refuse whatever is no plain path on the platform's host, before a token goes along.

    :param path: what the platform gave as ``downloadUrl``.
    :raises SaagieProtocolError: naming it.
    """
    if not path.startswith("/") or path.startswith("//") or "\\" in path:
        raise SaagieProtocolError(
            f"download: {settings.base_url} names {shown(path, settings)!r}, which is no path on that host: refused.",
            operation="download",
            host=settings.base_url,
        )


def is_web_page(path: str, headers: Mapping[str, str]) -> bool:
    """Say whether a download came as a web page though it is none: a proxy's or a login's, most likely."""
    return "text/html" in headers.get("Content-Type", "") and not path.lower().endswith((".html", ".htm"))


def download_url(path: str, settings: Settings) -> str:
    """Give the address of a path on the platform's host."""
    parts = urlsplit(settings.base_url)
    return f"{parts.scheme}://{parts.netloc}{path}"


def login_body(settings: Settings) -> tuple[dict[str, str], dict[str, str]]:
    """Give the headers and the JSON body of a login."""
    return {"Saagie-Realm": settings.realm}, {"login": settings.login, "password": settings.password}


def token_of(outcome: Refused | Broken, settings: Settings) -> str:
    """Read the token from the answer to a login.

    :param outcome: the answer (its body is the token), or what broke.
    :raises SaagieError: the kind that fits; nothing of the body is ever shown.
    """
    if isinstance(outcome, Broken):
        raise error_of_broken(LOGIN, outcome, settings)
    if outcome.status in (404, 405):  # a web server that is no Saagie, or a Saagie that has no such realm
        raise SaagieAuthError(
            f"login: {settings.base_url} knows no login for the realm {settings.realm!r} (HTTP {outcome.status}): "
            "check that the connection's host is a Saagie platform, and its realm.",
            operation=LOGIN,
            host=settings.base_url,
        )
    if outcome.status in (400, 401, 403):
        raise SaagieAuthError(
            f"{settings.base_url} refused the login of {settings.login!r} in the realm {settings.realm!r} "
            f"(HTTP {outcome.status}): check login, password and realm in the connection.",
            operation=LOGIN,
            host=settings.base_url,
        )
    if outcome.status != 200:
        raise error_of_refused(LOGIN, Refused(outcome.status, outcome.headers), settings)
    token = outcome.body.strip()
    if not re.fullmatch(r"[\x21-\x7e]{1,16384}", token) or token.startswith("<"):
        raise SaagieProtocolError(
            f"login on {settings.base_url} was answered with something that is no token (a web page?): "
            "check that the connection's host is a Saagie platform.",
            operation=LOGIN,
            host=settings.base_url,
            status=outcome.status,
        )
    return token


def _wait(outcome: Outcome, attempt: int) -> float:
    """Seconds to wait: what the platform asks for, else exponential with full jitter."""
    asked = retry_after(outcome) if isinstance(outcome, Refused) else None
    if asked is not None:
        return asked
    return random.uniform(0.1, min(LONGEST_WAIT, 0.5 * 2**attempt))  # noqa: S311 - jitter is no secret


def retry_after(outcome: Refused) -> float | None:
    """Read ``Retry-After``, which is a number of seconds or a date.

    :param outcome: the refusal.
    :return: seconds; None where there is no such header, or one that can't be read.
    """
    value = next((value for name, value in outcome.headers.items() if name.lower() == "retry-after"), "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):  # no date, one without a timezone, or one of the year 10^20
        return None


def clock_ahead(headers: Mapping[str, str], now: float) -> float | None:
    """Read from an answer's ``Date`` how far the platform's clock is ahead of ours.

    :param headers: the answer's.
    :param now: our own time, in seconds since 1970.
    :return: seconds; None where the answer doesn't say.
    """
    value = next((value for name, value in headers.items() if name.lower() == "date"), "")
    try:
        told = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    # The header's second has begun up to a second ago.
    return told.timestamp() + 0.5 - now if told.tzinfo else None


def _raise_unknown(operation: str, cause: SaagieError, settings: Settings) -> NoReturn:
    raise SaagieOutcomeUnknown(
        f"{operation} was sent to {settings.base_url} and no sound answer came back, so it may have happened: "
        f"look at the platform before you repeat it. What was seen: {cause}",
        operation=operation,
        host=settings.base_url,
    ) from cause
