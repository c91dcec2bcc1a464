"""Decides, without I/O: what an answer means, and whether to ask again, and when.

The sessions turn whatever happens into one of three outcomes and ask here what follows::

    Answer    the platform answered in GraphQL, with data, errors or both
    Refused   it answered with another HTTP status, or with something that is no GraphQL
    Broken    there was no whole answer: a Fault says how far the request can have come
"""

from __future__ import annotations

import enum
import json
import random
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypedDict, TypeVar
from urllib.parse import urlsplit

from airflow_provider_saagie.exceptions import (
    SaagieApiError,
    SaagieAuthError,
    SaagieConnectionError,
    SaagieError,
    SaagieNotFound,
    SaagieOutcomeUnknown,
    SaagieProtocolError,
    SaagieTimeout,
)

if TYPE_CHECKING:
    import tenacity

    from airflow_provider_saagie.client.settings import Settings

__all__ = [
    "Answer",
    "Broken",
    "Call",
    "Fault",
    "NotGraphQL",
    "Outcome",
    "Pause",
    "Refused",
    "Steps",
    "Upload",
    "check_download",
    "decisions",
    "download_url",
    "is_lost_token",
    "is_not_graphql",
    "is_web_page",
    "located",
    "login_body",
    "meaning",
    "retry_after",
    "token_of",
    "worth_repeating",
]

SHOWN_OF_A_BODY = 400
LONGEST_WAIT = 30.0
LONGEST_RETRY_AFTER = 120.0
LOGIN = "login"


@dataclass(frozen=True)
class Upload:
    """A file that goes with a call, read from disk while it is sent.

    :param path: the file.
    :param name: the name that the platform shall know it by.
    """

    path: Path
    name: str


@dataclass(frozen=True)
class Call:
    """One request to Saagie, as a value.

    :param operation: the operation's name in ``graphql/*.graphql``.
    :param variables: its variables.
    :param upload: a file for the variable ``$file``.
    """

    operation: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    upload: Upload | None = None


@dataclass(frozen=True)
class Pause:
    """A step that asks for time to pass, where a method waits for something.

    :param seconds: how much.
    """

    seconds: float


T = TypeVar("T")
Steps: TypeAlias = Generator[Call | Pause, dict[str, Any], T]
"""What a client method is made of: it yields calls, is sent their data, and returns its result. A session runs it."""


class Fault(enum.Enum):
    """How a request broke. The value says whether it can have reached the platform."""

    UNKNOWN_NAME = (False, "its name could not be resolved")
    UNREACHABLE = (False, "the connection was refused or could not be made")
    PROXY = (False, "the proxy refused or could not be reached")
    TLS = (False, "its TLS certificate was not accepted")
    CONNECT_TIMEOUT = (False, "no connection could be made in time")
    TIMEOUT = (True, "no answer came in time")
    LOST = (True, "the connection broke before the answer was whole")

    @property
    def may_have_arrived(self) -> bool:
        """Whether the platform can have seen the request."""
        return self.value[0]

    @property
    def words(self) -> str:
        """What happened, to stand behind "could not be reached: "."""
        return self.value[1]


@dataclass(frozen=True)
class Answer:
    """The platform answered in GraphQL."""

    data: dict[str, Any] | None
    errors: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Refused:
    """An answer that is not GraphQL's: another status, a redirect, a web page."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = field(default="", repr=False)


@dataclass(frozen=True)
class Broken:
    """There was no whole answer.

    :param fault: how it broke.
    :param detail: the library's words, without secrets.
    """

    fault: Fault
    detail: str = ""


Outcome: TypeAlias = Answer | Refused | Broken


class NotGraphQL(Exception):
    """Carries a refusal out of gql's transport, which would read the body for its own purposes.

    :param refused: the answer.
    """

    def __init__(self, refused: Refused) -> None:
        super().__init__(f"HTTP {refused.status}")
        self.refused = refused


def is_not_graphql(status: int, headers: Mapping[str, str]) -> bool:
    """Say whether an answer's meaning is in its status, or whether its body is no JSON."""
    return status != 200 or "json" not in headers.get("Content-Type", "json")


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
        case Answer(data=data, errors=()) if data is not None:
            return data
        case Answer(errors=()):
            lost: SaagieError = SaagieProtocolError(
                f"{operation} on {settings.base_url} was answered with neither data nor errors.",
                operation=operation,
                host=settings.base_url,
                status=200,
            )
        case Answer(errors=errors):
            raise _api_error(operation, errors, settings)
        case Broken():
            lost = _broken(operation, outcome, settings)
            if not outcome.fault.may_have_arrived:
                raise lost
        case Refused(status=status) if 200 <= status < 300 or status >= 500:
            lost = _refused(operation, outcome, settings)
        case Refused():
            raise _refused(operation, outcome, settings)
    if is_mutation:
        _raise_unknown(operation, lost, settings)
    raise lost


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
        case Broken(fault=Fault.TLS):
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
    if not path.startswith("/") or path.startswith("//") or "\\" in path or "@" in path.split("/")[0]:
        raise SaagieProtocolError(
            f"download: {settings.base_url} names {_shown(path, settings)!r}, which is no path on that host: refused.",
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
        raise _broken(LOGIN, outcome, settings)
    if outcome.status in (400, 401, 403, 404):
        raise SaagieAuthError(
            f"{settings.base_url} refused the login of {settings.login!r} in the realm {settings.realm!r} "
            f"(HTTP {outcome.status}): check login, password and realm in the connection.",
            operation=LOGIN,
            host=settings.base_url,
        )
    if outcome.status != 200:
        raise _refused(LOGIN, Refused(outcome.status, outcome.headers), settings)
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
    except (ValueError, TypeError):  # no date, or one without a timezone
        return None


def _raise_unknown(operation: str, cause: SaagieError, settings: Settings) -> NoReturn:
    raise SaagieOutcomeUnknown(
        f"{operation} was sent to {settings.base_url} and its answer was lost, so it may have happened: "
        f"look at the platform before you repeat it. What was seen: {cause}",
        operation=operation,
        host=settings.base_url,
    ) from cause


def _broken(operation: str, outcome: Broken, settings: Settings) -> SaagieConnectionError:
    kind = SaagieTimeout if outcome.fault in (Fault.TIMEOUT, Fault.CONNECT_TIMEOUT) else SaagieConnectionError
    advice = {
        Fault.UNKNOWN_NAME: "check the connection's host.",
        Fault.TLS: "set the connection's `verify` to the path of a CA bundle that knows the platform's certificate.",
        Fault.PROXY: "check the connection's `proxy`.",
        Fault.TIMEOUT: f"the connection's `timeout` is {settings.timeout:g} s.",
        Fault.CONNECT_TIMEOUT: f"check the network; the connection's `timeout` is {settings.timeout:g} s.",
    }.get(outcome.fault, "check the connection's host and the network.")
    detail = f" ({_shown(outcome.detail, settings)})" if outcome.detail else ""
    return kind(
        f"{operation}: {settings.base_url} could not be asked: {outcome.fault.words}{detail}; {advice}",
        operation=operation,
        host=settings.base_url,
    )


def _refused(operation: str, outcome: Refused, settings: Settings) -> SaagieError:
    host, status = settings.base_url, outcome.status
    errors = _errors_in(outcome.body)
    said = "; ".join(_message_of(error) for error in errors) or _shown(outcome.body, settings)
    quoted = f" It said: {said}" if said else ""
    if 300 <= status < 400:
        target = next((value for name, value in outcome.headers.items() if name.lower() == "location"), "nowhere")
        return SaagieProtocolError(
            f"{operation}: {host} redirects to {_shown(target, settings)}, and redirects are not followed, since they "
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
    if status == 404:
        return SaagieNotFound(
            f"{operation}: {host} has no platform {settings.platform_id}, or {settings.login!r} may not see it: "
            f"check `platform_id` in the connection.{quoted}",
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
            messages=tuple(_message_of(error) for error in errors),
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


def _api_error(operation: str, errors: tuple[Mapping[str, Any], ...], settings: Settings) -> SaagieError:
    messages = tuple(dict.fromkeys(_message_of(error) for error in errors))
    extensions = errors[0].get("extensions") if isinstance(errors[0], Mapping) else None
    classification = extensions.get("classification") if isinstance(extensions, Mapping) else None
    classification = str(classification) if classification is not None else None
    path = errors[0].get("path") if isinstance(errors[0], Mapping) else None
    text = f"{operation}: {settings.base_url} refused: {'; '.join(messages)}"
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
    except ValueError:
        return []
    errors = answer.get("errors") if isinstance(answer, Mapping) else None
    return [error for error in errors if isinstance(error, Mapping)] if isinstance(errors, list) else []


def _message_of(error: object) -> str:
    message = error.get("message") if isinstance(error, Mapping) else None
    return str(message)[:SHOWN_OF_A_BODY] if message else "(no message)"


def _shown(text: str, settings: Settings) -> str:
    """Cut a text of foreign origin down to what a log may show: one line, no secrets, no more than 400 characters."""
    without = text
    for secret in (settings.password, settings.proxy or ""):
        if secret:
            without = without.replace(secret, "***")
    without = re.sub(r"(?i)bearer\s+\S+", "Bearer ***", without)
    without = re.sub(r"://[^/@\s]+@", "://***@", without)
    without = re.sub(r"\s+", " ", re.sub(r"<[^>]{0,400}>", " ", without)).strip()
    return without if len(without) <= SHOWN_OF_A_BODY else without[: SHOWN_OF_A_BODY - 1] + "…"
