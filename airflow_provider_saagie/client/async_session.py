"""The triggerer's way to send: gql over aiohttp. It sends, waits and closes; ``core.py`` decides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any, Self, TypeVar

import aiohttp
import certifi
import tenacity
from gql import FileVar
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportError, TransportProtocolError

from airflow_provider_saagie.client import calls, core, outcomes
from airflow_provider_saagie.client.documents import document
from airflow_provider_saagie.client.request import PreparedRequest
from airflow_provider_saagie.client.tls import trusting
from airflow_provider_saagie.exceptions import SaagieAuthError, SaagieError

if TYPE_CHECKING:
    import ssl

    from airflow_provider_saagie.client.calls import Call, Steps
    from airflow_provider_saagie.client.outcomes import Outcome
    from airflow_provider_saagie.client.settings import Settings

__all__ = ["AsyncSession"]

T = TypeVar("T")

REFUSAL_HOLDS = 30.0
"""Seconds for which a login that was refused is not tried again, whoever asks: logins get locked."""

# The most specific first: the first that fits wins. A test walks aiohttp's exceptions, so that none is left out.
FAULTS: tuple[tuple[type[BaseException], outcomes.Fault], ...] = (
    (aiohttp.ClientConnectorDNSError, outcomes.Fault.UNKNOWN_NAME),
    (aiohttp.InvalidURL, outcomes.Fault.UNKNOWN_NAME),
    (aiohttp.ClientProxyConnectionError, outcomes.Fault.PROXY),
    (aiohttp.ClientHttpProxyError, outcomes.Fault.PROXY),
    (aiohttp.ClientConnectorCertificateError, outcomes.Fault.TLS),
    (aiohttp.ServerFingerprintMismatch, outcomes.Fault.TLS),
    (aiohttp.ClientSSLError, outcomes.Fault.TLS_BROKEN),
    (aiohttp.ConnectionTimeoutError, outcomes.Fault.CONNECT_TIMEOUT),
    (aiohttp.ClientConnectorError, outcomes.Fault.UNREACHABLE),
    (aiohttp.ServerTimeoutError, outcomes.Fault.TIMEOUT),
    (TimeoutError, outcomes.Fault.TIMEOUT),
    (aiohttp.ClientError, outcomes.Fault.LOST),
    (OSError, outcomes.Fault.LOST),
)


class AsyncSession:
    """Sends calls, many at a time, over kept connections; for one event loop.

    :param settings: where to send, and as whom.
    :param sleep: how to wait between tries (tests pass their own).
    """

    def __init__(self, settings: Settings, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self.settings = settings
        self._sleep = sleep
        self._token: str | None = None
        self._logging_in = asyncio.Lock()
        self._logins = 0
        self._failed_login: outcomes.Refused | outcomes.Broken | None = None
        self._refused_until = float("-inf")
        self._is_closed = False
        self._opened: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | bool = (
            False
            if settings.verify is False
            else trusting(certifi.where() if settings.verify is True else settings.verify)
        )

    async def __aenter__(self) -> Self:
        """Use the session in an ``async with`` block, which closes it."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the session."""
        await self.close()

    async def close(self) -> None:
        """Close the connections, for good: whoever is still sending hears that they are lost."""
        self._is_closed = True
        if self._opened is not None:
            opened, self._opened = self._opened, None
            await opened.close()

    async def run(self, steps: Steps[T]) -> T:
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
                        data = await self._take(step)
                    except SaagieError as error:
                        step = steps.throw(error)
                    else:
                        step = core.advance(steps, data, after=step)
            except StopIteration as end:
                result: T = end.value
                return result
            except SaagieError as error:
                raise core.located(error, self.settings) from error.__cause__

    async def _take(self, step: Call | calls.Pause) -> dict[str, Any]:
        if isinstance(step, calls.Pause):
            await self._sleep(step.seconds)
            return {}
        return await self.send(step)

    async def send(self, call: Call) -> dict[str, Any]:
        """Send one call.

        :return: the answer's data.
        :raises SaagieError: the kind that fits.
        """
        is_mutation = document(call.operation).is_mutation

        async def attempt() -> Outcome:
            return await self._with_token(lambda token: self._exchange(call, token))

        outcome = await self._repeat(attempt, is_mutation=is_mutation)
        return core.meaning(call.operation, outcome, self.settings, is_mutation=is_mutation)

    async def send_text(self, operation: str, text: str, variables: dict[str, Any]) -> Outcome:
        """Send a prepared query to the projects' endpoint, once, and give its outcome as it is.

        For the watcher, which reads data and errors side by side and waits in its own way.

        :param operation: the operation's name, as it stands in the text.
        :param text: the query.
        :param variables: its variables.
        :raises SaagieError: where logging in fails.
        """
        body = {"query": text, "operationName": operation, "variables": variables}
        return await self._with_token(lambda token: self._exchange_text(body, token))

    async def log_in(self, *, instead_of: str | None = None) -> str:
        """Get a token; of many that ask at a time, one logs in for all. A refusal holds for a while.

        :param instead_of: the token that was refused, if any.
        :return: the token.
        :raises SaagieError: the kind that fits.
        """
        before = self._logins
        async with self._logging_in:
            # Another one's try failed while this one waited, or a moment ago.
            if self._failed_login and (self._logins != before or _now() < self._refused_until):
                return core.token_of(self._failed_login, self.settings)
            if self._token is None or self._token == instead_of:
                self._token = None
                outcome = await self._repeat(self._exchange_login, is_mutation=False)
                assert not isinstance(outcome, outcomes.Answer)  # noqa: S101 - a login is no GraphQL
                self._logins, self._failed_login = self._logins + 1, outcome
                try:
                    self._token = core.token_of(outcome, self.settings)
                except SaagieAuthError:
                    self._refused_until = _now() + REFUSAL_HOLDS
                    raise
                self._failed_login = None
                self.settings.take_token(self._token)
            return self._token

    def forget_token(self) -> None:
        """Log in anew before whatever is sent next: what a token allows may be as old as the token."""
        self._token = None

    async def _repeat(self, exchange: Callable[[], Awaitable[Outcome]], *, is_mutation: bool) -> Outcome:
        decide = core.decisions(self.settings.retries, is_mutation=is_mutation)
        outcome: Outcome = await tenacity.AsyncRetrying(sleep=self._sleep, **decide)(exchange)
        return outcome

    async def _with_token(self, exchange: Callable[[str], Awaitable[Outcome]]) -> Outcome:
        token = self._token or await self.log_in()
        outcome = await exchange(token)
        if not core.is_lost_token(outcome):
            return outcome
        return await exchange(await self.log_in(instead_of=token))

    def _http(self) -> aiohttp.ClientSession:
        if self._is_closed:
            raise aiohttp.ClientConnectionError("the session was closed")
        if self._opened is None:
            limits = aiohttp.ClientTimeout(
                total=None, sock_connect=min(10.0, self.settings.timeout), sock_read=self.settings.timeout
            )
            self._opened = aiohttp.ClientSession(
                headers={"User-Agent": self.settings.user_agent}, timeout=limits, raise_for_status=_keep_from_gql
            )
        return self._opened

    async def _exchange(self, call: Call, token: str) -> Outcome:
        doc = document(call.operation)
        transport = AIOHTTPTransport(
            url=self.settings.gateway_url if doc.at_gateway else self.settings.projects_url, ssl=self._tls
        )
        variables = dict(call.variables)
        if call.upload:
            variables["file"] = FileVar(str(call.upload.path), filename=call.upload.name)
        if call.before_send:
            call.before_send()
        try:
            transport.session = self._http()
            result = await transport.execute(
                PreparedRequest(doc, variables),
                upload_files=call.upload is not None,
                extra_args=self._arguments(token),
            )
        except TransportProtocolError:  # its text holds the whole body: not shown
            return outcomes.Refused(200)
        except TransportError as error:
            return _outcome_of(error.__cause__ or error)
        except (AttributeError, TypeError, LookupError):  # JSON, but no object, or no charset: gql expects neither
            return outcomes.Refused(200)
        except aiohttp.ClientError as error:
            return _broken(error)
        return outcomes.answer_of(result.data, result.errors)

    async def _exchange_text(self, body: dict[str, Any], token: str) -> Outcome:
        try:
            async with self._http().post(
                self.settings.projects_url, json=body, ssl=self._tls, **self._arguments(token)
            ) as response:
                answer = await response.json(content_type=None)
        except outcomes.NotGraphQL as error:
            return error.refused
        except (ValueError, RecursionError, LookupError):  # no JSON, brackets without end, or no charset
            return outcomes.Refused(200)
        except (aiohttp.ClientError, OSError) as error:
            return _broken(error)
        if not isinstance(answer, dict) or not answer.keys() & {"data", "errors"}:
            return outcomes.Refused(200)
        return outcomes.answer_of(answer.get("data"), answer.get("errors"))

    async def _exchange_login(self) -> outcomes.Refused | outcomes.Broken:
        headers, body = core.login_body(self.settings)
        try:
            async with self._http().post(
                self.settings.login_url,
                json=body,
                headers=headers,
                ssl=self._tls,
                proxy=self.settings.proxy,
                allow_redirects=False,
                raise_for_status=False,
            ) as response:
                return outcomes.Refused(response.status, response.headers, await _text_of(response))
        except (aiohttp.ClientError, OSError) as error:
            return _broken(error)

    def _arguments(self, token: str) -> dict[str, Any]:
        return {
            "headers": {"Authorization": f"Bearer {token}"},
            "proxy": self.settings.proxy,
            "allow_redirects": False,
        }


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _keep_from_gql(response: aiohttp.ClientResponse) -> None:
    """Stop gql from reading an answer whose meaning is in its status, or which is no JSON."""
    if outcomes.is_not_graphql(response.status, response.headers):
        body = await _text_of(response)
        raise outcomes.NotGraphQL(outcomes.Refused(response.status, response.headers, body))


async def _text_of(response: aiohttp.ClientResponse) -> str:
    try:
        return await response.text(errors="replace")
    except LookupError:  # a charset that Python knows and that is none, such as rot13
        return await response.text("ascii", errors="replace")


def _outcome_of(error: BaseException) -> outcomes.Refused | outcomes.Broken:
    if isinstance(error, (UnicodeError, AttributeError, TypeError)):  # no text, or JSON that is no object: see above
        return outcomes.Refused(200)
    return error.refused if isinstance(error, outcomes.NotGraphQL) else _broken(error)


def _broken(error: BaseException) -> outcomes.Broken:
    for kind, fault in FAULTS:
        if isinstance(error, kind):
            return outcomes.Broken(fault, str(error))
    raise error  # a mistake of ours, not the network's
