"""Whether Airflow's API server is in trouble, which a task asks when it is told to end.

Somebody's wish reaches a task as the API server's answer to its supervisor's heartbeat. Where heartbeats fail instead,
``[workers] max_failed_heartbeats`` of them, the supervisor ends the task with the same signal, though nobody wants it
to end, and Airflow retries it once it is well again: the instance belongs to that retry. The task can't ask its
supervisor, which is busy with ending it. But a wish was an answer of the server a moment ago, and a server that is
in trouble gives none.
"""

from __future__ import annotations

import json
import time

import requests
from urllib3.exceptions import HTTPError

__all__ = ["ApiServer"]

PAGES = ("/api/v2/monitor/health", "/execution/health")
"""Pages that need no login. Only the first one looks at the database; a server of the execution API alone lacks it."""
TIMEOUT = 1.5
"""Seconds to connect, to wait for the answer, and for all of a page to come: Airflow sends SIGKILL after five."""
LIMIT = 20_000
"""Bytes of a page that are read: a health page has some hundred."""


class ApiServer:
    """Knows whether the API server can be asked from here at all, and whether it is in trouble.

    :param url: the server's address; None where no supervisor sends heartbeats, as in ``dag.test()``.
    """

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._was_well = False

    def get_known(self) -> bool:
        """Find out that the server answers from here: where it never did, its silence means nothing.

        :return: whether that is settled; else it may be asked for again later.
        """
        if not self._was_well and self._url is not None:
            self._was_well = _trouble(self._url) is None
        return self._was_well or self._url is None

    def trouble(self) -> str | None:
        """Say what is wrong with a server that was well before; None where nothing is.

        May be called from a signal handler: it takes some seconds at most.
        """
        return _trouble(self._url) if self._was_well and self._url is not None else None


def _trouble(url: str) -> str | None:
    for page in PAGES:
        try:
            with _ask(url + page) as answer:
                status = answer.status_code
                text = _text(answer) if status == 200 else b""
        except requests.exceptions.SSLError:  # it answered; the supervisor has certificates of its own
            return None
        # requests lets some errors through as they are, such as a REQUESTS_CA_BUNDLE or a proxy that is none.
        except (OSError, ValueError, AssertionError, HTTPError) as error:
            return f"can't be reached ({type(error).__name__})"
        if status == 404:
            continue
        if status >= 500:
            return f"answers {status}"
        return "can't reach its database" if _says_unhealthy(text) else None
    return None


def _ask(url: str) -> requests.Response:
    """Send a request that logs nobody in, also where ``~/.netrc`` knows the host."""
    return requests.get(url, timeout=TIMEOUT, allow_redirects=False, stream=True, auth=lambda request: request)


def _text(answer: requests.Response) -> bytes:
    """Read a page as it comes in: a time limit of requests is for each piece of it, however small."""
    text, until = bytearray(), time.monotonic() + TIMEOUT
    for piece in answer.iter_content(1):
        text += piece
        if len(text) > LIMIT:
            break
        if time.monotonic() > until:
            raise requests.ReadTimeout
    return bytes(text)


def _says_unhealthy(text: bytes) -> bool:
    try:
        return bool(json.loads(text)["metadatabase"]["status"] == "unhealthy")
    except (ValueError, LookupError, TypeError):  # some other page
        return False
