"""How the load tests talk to an emulator: reads are repeated, mutations are sent once and their outcome is told."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.testing import Emulator

_SECONDS = 30.0  # longer than any fault delays an answer


class Outcome(StrEnum):
    """What a client knows of a mutation that it sent."""

    DONE = "done"  # it was answered
    REFUSED = "refused"  # it was answered that it was not done
    DOUBT = "doubt"  # no answer, or none that says


class LostError(Exception):
    """A read was not answered, for as long as it was tried."""


class Platform:
    """A client of one actor.

    :param emulator: the emulator.
    :param name: who the actor is; the emulator lists it with each mutation.
    """

    patience = 30.0  # for how many seconds a read is repeated

    def __init__(self, emulator: Emulator, name: str) -> None:
        self.emulator = emulator
        self._name = name
        self._session = requests.Session()
        self._token: str | None = None
        self._sent = 0

    def write(
        self, document: str, variables: dict[str, Any], content: bytes | None = None
    ) -> tuple[Outcome, dict[str, Any]]:
        """Send a mutation once; a new token is fetched before, never after.

        :return: what became of it, and the answer's data where it was done.
        """
        self._sent += 1
        body = {"query": document, "variables": variables}
        try:
            answer = self._post(body, content, {"User-Agent": self.agent})
            if answer.status_code == 401:
                self._token = None
                return Outcome.REFUSED, {}
            found = answer.json()
        except (requests.RequestException, ValueError):
            return Outcome.DOUBT, {}
        if answer.status_code != 200:
            return Outcome.DOUBT, {}
        return (Outcome.REFUSED, {}) if found.get("errors") else (Outcome.DONE, found["data"])

    @property
    def agent(self) -> str:
        """What the last mutation called itself; no two are called alike."""
        return f"books {self._name} {self._sent}"

    def read(self, document: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Ask until there is an answer, and return its data."""
        return self._patiently(lambda: self._data(document, variables))

    def download(self, path: str) -> bytes:
        """Fetch a file until there is one."""
        return self._patiently(lambda: self._file(path))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _patiently(self, ask: Any) -> Any:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return ask()
            except (requests.RequestException, ValueError, KeyError) as error:
                if time.monotonic() > deadline:
                    raise LostError(repr(error)) from error
                time.sleep(0.1)

    def _data(self, document: str, variables: dict[str, Any]) -> dict[str, Any]:
        answer = self._post({"query": document, "variables": variables}, None, {})
        self._check(answer)
        return answer.json()["data"] or self._fail(answer)

    def _file(self, path: str) -> bytes:
        answer = self._session.get(self.emulator.url + path, headers=self._headers({}), timeout=_SECONDS)
        self._check(answer)
        return answer.content

    def _post(self, body: dict[str, Any], content: bytes | None, headers: dict[str, str]) -> requests.Response:
        url, headers = self.emulator.graphql_url, self._headers(headers)
        if content is None:
            return self._session.post(url, json=body, headers=headers, timeout=_SECONDS, allow_redirects=False)
        parts = {"operations": json.dumps(body), "map": json.dumps({"0": ["variables.file"]})}
        files = {"0": ("job.sh", content)}
        return self._session.post(
            url, data=parts, files=files, headers=headers, timeout=_SECONDS, allow_redirects=False
        )

    def _headers(self, headers: dict[str, str]) -> dict[str, str]:
        if self._token is None:
            self._token = self._log_in()
        return {**headers, "Authorization": f"Bearer {self._token}"}

    def _log_in(self) -> str:
        emulator = self.emulator
        answer = self._session.post(
            f"{emulator.url}/authentication/api/open/authenticate",
            json={"login": emulator.login, "password": emulator.password},
            headers={"Saagie-Realm": emulator.realm},
            timeout=_SECONDS,
            allow_redirects=False,
        )
        answer.raise_for_status()
        if answer.text.count(".") != 1 or "<" in answer.text:
            raise ValueError("this is no token")
        return answer.text

    def _check(self, answer: requests.Response) -> None:
        if answer.status_code == 401:
            self._token = None
        if answer.status_code != 200:
            self._fail(answer)

    def _fail(self, answer: requests.Response) -> Any:
        raise ValueError(f"{answer.status_code} {answer.text[:200]}")
