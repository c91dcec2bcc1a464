"""A worker's way to send: gql over requests. It sends, waits and closes; ``core.py`` decides."""

from __future__ import annotations

import os
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import unquote, urlsplit

import certifi
import requests
import tenacity
import urllib3
from gql import FileVar
from gql.transport.exceptions import TransportError, TransportProtocolError
from gql.transport.requests import RequestsHTTPTransport
from requests.adapters import HTTPAdapter

from airflow_provider_saagie.client import calls, core, outcomes
from airflow_provider_saagie.client.documents import document
from airflow_provider_saagie.client.progress import CountedFile, shown
from airflow_provider_saagie.client.request import PreparedRequest
from airflow_provider_saagie.client.tls import trusting
from airflow_provider_saagie.exceptions import SaagieError, SaagieValidationError

if TYPE_CHECKING:
    from graphql import ExecutionResult

    from airflow_provider_saagie.client.calls import Call, Steps, Upload
    from airflow_provider_saagie.client.outcomes import Outcome
    from airflow_provider_saagie.client.progress import Progress
    from airflow_provider_saagie.client.settings import Settings

__all__ = ["Session"]

T = TypeVar("T")

# Files pass through memory in pieces of so many bytes. urllib3 would send 16 KiB at a time, which is several times
# slower; pieces of 256 KiB and more cost up to three times the CPU, since each is new memory from the system.
PIECE = 128 * 1024

# The most specific first: the first that fits wins. A test walks requests' exceptions, so that none is left out.
FAULTS: tuple[tuple[type[BaseException], outcomes.Fault], ...] = (
    (requests.exceptions.ProxyError, outcomes.Fault.PROXY),
    (urllib3.exceptions.NameResolutionError, outcomes.Fault.UNKNOWN_NAME),
    (ssl.SSLCertVerificationError, outcomes.Fault.TLS),
    # requests raises the same error for a handshake as for a record that breaks while the answer comes.
    (requests.exceptions.SSLError, outcomes.Fault.TLS_BROKEN),
    (requests.exceptions.ConnectTimeout, outcomes.Fault.CONNECT_TIMEOUT),
    (urllib3.exceptions.NewConnectionError, outcomes.Fault.UNREACHABLE),
    (requests.exceptions.Timeout, outcomes.Fault.TIMEOUT),
    (urllib3.exceptions.ReadTimeoutError, outcomes.Fault.TIMEOUT),
    (requests.exceptions.InvalidURL, outcomes.Fault.UNKNOWN_NAME),
    (requests.exceptions.RequestException, outcomes.Fault.LOST),
    (OSError, outcomes.Fault.LOST),
)


@dataclass(frozen=True, kw_only=True)
class _Stream(outcomes.Answer):
    """A download under way."""

    answer: requests.Response


class _NotSentError(Exception):
    """The last look before the sending raised what is its cause: nothing was sent."""


class _Adapter(HTTPAdapter):
    """Sends files in large pieces, and takes a last look before anything is sent.

    :param last_look: called in the last moment.
    """

    def __init__(self, last_look: Callable[[], None]) -> None:
        self._last_look = last_look
        super().__init__()

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        try:
            self._last_look()
        except Exception as error:
            raise _NotSentError from error
        return super().send(*args, **kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, blocksize=PIECE, **kwargs)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, blocksize=PIECE, **kwargs)


class Session:
    """Sends calls, one after the other, over one kept connection; for one thread.

    :param settings: where to send, and as whom.
    :param sleep: how to wait between tries (tests pass their own).
    :param progress: what long uploads and downloads show; by default a bar in a terminal, else lines in the log.
        :func:`airflow_provider_saagie.client.progress.silent` shows nothing. The attribute may be set later, too.

    ``clock_ahead`` says by how many seconds the platform's clock is ahead of ours; None as long as no answer told.
    """

    def __init__(
        self, settings: Settings, *, sleep: Callable[[float], None] = time.sleep, progress: Progress = shown
    ) -> None:
        self.settings = settings
        self.progress = progress
        self._sleep = sleep
        self._has_token = False
        self._sends: Call | None = None
        self.clock_ahead: float | None = None
        self._http = requests.Session()
        self._connect_anew()
        # The environment must not change what the connection says: REQUESTS_CA_BUNDLE, proxies, .netrc.
        self._http.trust_env = False
        if isinstance(settings.verify, str):  # requests would take a file that is no bundle for a lost answer
            trusting(settings.verify)
        self._verify: bool | str = certifi.where() if settings.verify is True else settings.verify
        self._http.verify = self._verify
        if settings.verify is False:  # the hook warns once, in the task's log; urllib3 would at each request
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._http.headers["User-Agent"] = settings.user_agent
        if settings.proxy:
            self._http.proxies = {"http": settings.proxy, "https": settings.proxy}
        self._timeout = (min(10.0, settings.timeout), settings.timeout)

    def __enter__(self) -> Self:
        """Use the session in a ``with`` block, which closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the session."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _connect_anew(self) -> None:
        self._process = os.getpid()
        for scheme in ("https://", "http://"):
            self._http.mount(scheme, _Adapter(self._look_once_more))

    def _leave_parents_connections(self) -> None:
        """After a fork both processes have the kept connections, and would read each other's answers."""
        if self._process != os.getpid():
            self._connect_anew()

    @property
    def request_limit(self) -> float:
        """Seconds in which a request has reached the platform, or never will."""
        return sum(self._timeout)

    def platform_time(self) -> float:
        """Give the time of day by the platform's clock, as its last answer told; by our own where none did.

        :return: seconds since 1970.
        """
        return time.time() + (self.clock_ahead or 0.0)

    def run(self, steps: Steps[T]) -> T:
        """Run a client method: send each call that it yields and hand it the data, or the error, back.

        :param steps: what the functions in ``client/`` return.
        :return: what they end with.
        :raises SaagieError: what they let through.
        """
        with closing(steps):
            try:
                step = next(steps)
                while True:
                    try:
                        data = self._take(step)
                    except SaagieError as error:
                        step = steps.throw(error)
                    else:
                        step = core.advance(steps, data, after=step)
            except StopIteration as end:
                result: T = end.value
                return result
            except SaagieError as error:
                raise core.located(error, self.settings) from error.__cause__

    def _take(self, step: Call | calls.Pause) -> dict[str, Any]:
        if isinstance(step, calls.Pause):
            self._sleep(step.seconds)
            return {}
        return self.send(step)

    def send(self, call: Call) -> dict[str, Any]:
        """Send one call.

        :return: the answer's data.
        :raises SaagieError: the kind that fits.
        """
        is_mutation = document(call.operation).is_mutation
        self._leave_parents_connections()
        self.log_in(anew=False)
        outcome = self._repeat(lambda: self._with_token(lambda: self._exchange(call)), is_mutation=is_mutation)
        return core.meaning(call.operation, outcome, self.settings, is_mutation=is_mutation)

    def download(self, path: str) -> Iterator[bytes]:
        """Read a file of the platform in pieces, without keeping it in memory.

        :param path: a path on the platform's host, such as a version's ``packageInfo.downloadUrl``.
        :raises SaagieProtocolError: where it is no path on that host; then nothing is sent.
        :raises SaagieError: the kind that fits.
        """
        core.check_download(path, self.settings)
        self._leave_parents_connections()
        self.log_in(anew=False)
        outcome = self._repeat(lambda: self._with_token(lambda: self._exchange_download(path)), is_mutation=False)
        if not isinstance(outcome, _Stream):
            core.meaning("download", outcome, self.settings, is_mutation=False)
            return
        try:
            with outcome.answer as answer, self.progress("Downloading", _file_name(path), _length(answer)) as advance:
                for piece in answer.iter_content(PIECE):
                    advance(len(piece))
                    yield piece
        except (requests.exceptions.RequestException, OSError) as error:
            core.meaning("download", _broken(error), self.settings, is_mutation=False)

    def log_in(self, *, anew: bool = True) -> None:
        """Get a token.

        :param anew: also where there is one.
        :raises SaagieError: the kind that fits.
        """
        if self._has_token and not anew:
            return
        self._has_token = False
        outcome = self._repeat(self._exchange_login, is_mutation=False)
        assert not isinstance(outcome, outcomes.Answer)  # noqa: S101 - a login is no GraphQL
        token = core.token_of(outcome, self.settings)
        self.settings.take_token(token)
        self._http.headers["Authorization"] = f"Bearer {token}"
        self._has_token = True

    def _repeat(self, exchange: Callable[[], Outcome], *, is_mutation: bool) -> Outcome:
        decide = core.decisions(self.settings.retries, is_mutation=is_mutation)
        outcome: Outcome = tenacity.Retrying(sleep=self._sleep, **decide)(exchange)
        return outcome

    def _with_token(self, exchange: Callable[[], Outcome]) -> Outcome:
        outcome = exchange()
        if not core.is_lost_token(outcome):
            return outcome
        self.log_in()
        return exchange()

    def _exchange(self, call: Call) -> Outcome:
        doc = document(call.operation)
        transport = RequestsHTTPTransport(
            url=self.settings.gateway_url if doc.at_gateway else self.settings.projects_url,
            timeout=self._timeout,  # type: ignore[arg-type]  # requests takes a pair, gql only hands it on
            verify=self._verify,
            allow_redirects=False,
            hooks={"response": [self._note_clock, _keep_from_gql]},
        )
        transport.session = self._http
        if call.before_send:
            call.before_send()
        self._sends = call
        try:
            if call.upload:
                result = self._send_with_file(transport, call, call.upload)
            else:
                result = transport.execute(PreparedRequest(doc, call.variables))
        except TransportProtocolError:  # its text holds the whole body: not shown
            return outcomes.Refused(200)
        except TransportError as error:
            if isinstance(error.__cause__, _NotSentError) and error.__cause__.__cause__:
                raise error.__cause__.__cause__ from None
            return _outcome_of(error.__cause__ or error)
        except (AttributeError, TypeError):  # JSON, but no object: gql does not expect that
            return outcomes.Refused(200)
        finally:
            self._sends = None
        return outcomes.answer_of(result.data, result.errors)

    def _look_once_more(self) -> None:
        """Call ``before_send`` again, in the last moment: the process may have been frozen since."""
        if self._sends and self._sends.before_send:
            self._sends.before_send()

    def _send_with_file(self, transport: RequestsHTTPTransport, call: Call, upload: Upload) -> ExecutionResult:
        try:
            size = upload.path.stat().st_size
        except OSError as error:  # it was there when the call was made
            raise SaagieValidationError(
                f"{call.operation}: the file {str(upload.path)!r} can't be read ({error.strerror}): nothing was sent."
            ) from error
        with self.progress("Uploading", upload.name, size) as advance, CountedFile(upload.path, advance) as file:
            variables = {**call.variables, "file": FileVar(file, filename=upload.name)}
            return transport.execute(PreparedRequest(document(call.operation), variables), upload_files=True)

    def _note_clock(self, answer: requests.Response, *_: object, **__: object) -> None:
        ahead = core.clock_ahead(answer.headers, time.time())
        self.clock_ahead = self.clock_ahead if ahead is None else ahead

    def _exchange_download(self, path: str) -> Outcome:
        try:
            answer = self._http.get(
                core.download_url(path, self.settings), timeout=self._timeout, allow_redirects=False, stream=True
            )
        except (requests.exceptions.RequestException, OSError) as error:
            return _broken(error)
        if answer.status_code == 200 and not core.is_web_page(path, answer.headers):
            return _Stream(data={}, answer=answer)
        try:
            with answer:
                return outcomes.Refused(answer.status_code, answer.headers, _beginning(answer))
        except (requests.exceptions.RequestException, OSError) as error:
            return _broken(error)

    def _exchange_login(self) -> outcomes.Refused | outcomes.Broken:
        headers, body = core.login_body(self.settings)
        try:
            answer = self._http.post(
                self.settings.login_url,
                json=body,
                headers={**headers, "Authorization": None},  # requests takes None for "not this one"
                timeout=self._timeout,
                allow_redirects=False,
            )
        except (requests.exceptions.RequestException, OSError) as error:
            return _broken(error)
        return outcomes.Refused(answer.status_code, answer.headers, answer.text)


def _keep_from_gql(answer: requests.Response, *_: object, **__: object) -> None:
    """Stop gql from reading an answer whose meaning is in its status, or which is no JSON."""
    if outcomes.is_not_graphql(answer.status_code, answer.headers):
        raise outcomes.NotGraphQL(outcomes.Refused(answer.status_code, answer.headers, answer.text))


def _beginning(answer: requests.Response) -> str:
    """Read what a message shows of an answer that was to be a file: it may be as long as one."""
    return next(answer.iter_content(PIECE), b"").decode(errors="replace")


def _file_name(path: str) -> str:
    return unquote(urlsplit(path).path.rpartition("/")[2]) or "a file"


def _length(answer: requests.Response) -> int | None:
    """Read how long a file is; None where the platform does not say, or means the file as it is packed."""
    length = answer.headers.get("Content-Length", "")
    is_known = re.fullmatch(r"[0-9]{1,18}", length) and "Content-Encoding" not in answer.headers
    return int(length) if is_known else None


def _outcome_of(error: BaseException) -> outcomes.Refused | outcomes.Broken:
    return error.refused if isinstance(error, outcomes.NotGraphQL) else _broken(error)


def _broken(error: BaseException) -> outcomes.Broken:
    """Find the fault in an error, or in one that it wraps: urllib3's sit in requests' arguments."""
    chain = [error]
    while (inner := _wrapped(chain[-1])) is not None and inner not in chain:
        chain.append(inner)
    for kind, fault in FAULTS:
        if any(isinstance(link, kind) for link in chain):
            return outcomes.Broken(fault, str(chain[-1]))
    raise error  # a mistake of ours, not the network's


def _wrapped(error: BaseException) -> BaseException | None:
    candidates = (getattr(error, "reason", None), *error.args, error.__cause__)
    return next((inner for inner in candidates if isinstance(inner, BaseException)), None)
