"""Whether Airflow's API server is in trouble, which a task asks when it is told to end.

Somebody's wish reaches a task as the API server's answer to its supervisor's heartbeat. Where heartbeats fail instead,
``[workers] max_failed_heartbeats`` of them, the supervisor ends the task with the same signal, though nobody wants it
to end, and Airflow retries it once it is well again: the instance belongs to that retry. The task can't ask its
supervisor, which is busy with ending it. But a wish was an answer of the server a moment ago, and a server that is
in trouble gives none.
"""

from __future__ import annotations

import requests

__all__ = ["ApiServer"]

PAGES = ("/api/v2/monitor/health", "/execution/health")
"""Pages that need no login. Only the first one looks at the database; a server of the execution API alone lacks it."""
TIMEOUT = 1.5
"""Seconds to connect, and to wait for the answer: Airflow sends SIGKILL after five."""


class ApiServer:
    """Knows whether the API server can be asked from here at all, and whether it is in trouble.

    :param url: the server's address; None where no supervisor sends heartbeats, as in ``dag.test()``.
    """

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._was_well = False

    def get_known(self) -> None:
        """Find out once that the server answers from here: where it never did, its silence means nothing."""
        if not self._was_well and self._url is not None:
            self._was_well = _trouble(self._url) is None

    def trouble(self) -> str | None:
        """Say what is wrong with a server that was well before; None where nothing is.

        May be called from a signal handler: it takes some seconds at most.
        """
        return _trouble(self._url) if self._was_well and self._url is not None else None


def _trouble(url: str) -> str | None:
    for page in PAGES:
        try:
            answer = requests.get(url + page, timeout=TIMEOUT, allow_redirects=False)
        except requests.exceptions.SSLError:  # it answered; the supervisor has certificates of its own
            return None
        except requests.RequestException as error:
            return f"can't be reached ({type(error).__name__})"
        if answer.status_code == 404:
            continue
        if answer.status_code >= 500:
            return f"answers {answer.status_code}"
        return "can't reach its database" if _says_unhealthy(answer) else None
    return None


def _says_unhealthy(answer: requests.Response) -> bool:
    try:
        return bool(answer.json()["metadatabase"]["status"] == "unhealthy")
    except (ValueError, LookupError, TypeError):  # some other page
        return False
