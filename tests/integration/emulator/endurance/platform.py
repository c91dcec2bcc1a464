"""How the load tests talk to an emulator: queries are repeated, mutations are sent once and their outcome is noted."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import httpx

from tests.support.emulator_client import LOGIN_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_saagie.emulator.testing import Emulator


class Outcome(StrEnum):
    """What a client knows of a mutation that it sent."""

    DONE = "done"
    REFUSED = "refused"  # the answer says that it was not done
    DOUBT = "doubt"  # no answer, or an unusable one


class LostError(Exception):
    """A query was repeated until the patience was over."""


class Platform:
    """The client of an actor, whose name the emulator lists with each mutation."""

    patience = 120.0  # seconds in which a query is repeated

    def __init__(self, emulator: Emulator, name: str) -> None:
        self.emulator = emulator
        self._name = name
        self._http = httpx.Client(trust_env=False, timeout=120)
        self._token: str | None = None
        self._sent = 0
        self.close = self._http.close

    @property
    def agent(self) -> str:
        """The name of the last mutation; each has its own."""
        return f"books {self._name} {self._sent}"

    def write(
        self, document: str, variables: dict[str, Any], content: bytes | None = None
    ) -> tuple[Outcome, dict[str, Any]]:
        """Send a mutation once; return its outcome, and the answer's data if it was done."""
        self._sent += 1
        try:
            answer = self._send(document, variables, content, {"User-Agent": self.agent})
            if answer.status_code == 401:
                self._token = None
                return Outcome.REFUSED, {}
            found = answer.json()
        except (httpx.HTTPError, ValueError):
            return Outcome.DOUBT, {}
        if answer.status_code != 200:
            return Outcome.DOUBT, {}
        return (Outcome.REFUSED, {}) if found.get("errors") else (Outcome.DONE, found["data"])

    def read(self, document: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Send a query until it is answered with data."""
        return self._repeat(lambda: self._checked(self._send(document, variables)).json()["data"])

    def download(self, path: str) -> bytes:
        url = self.emulator.url + path
        return self._repeat(lambda: self._checked(self._http.get(url, headers=self._headers())).content)

    def _repeat(self, ask: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                if found := ask():
                    return found
                raise ValueError("no data")
            except (httpx.HTTPError, ValueError, KeyError) as error:
                if time.monotonic() > deadline:
                    raise LostError(repr(error)) from error
                time.sleep(0.1)

    def _send(
        self, document: str, variables: dict[str, Any], content: bytes | None = None, headers: Any = ()
    ) -> httpx.Response:
        url = f"{self.emulator.url}/projects/api/platform/1/graphql"
        body, all_headers = {"query": document, "variables": variables}, self._headers() | dict(headers)
        if content is None:
            return self._http.post(url, json=body, headers=all_headers)
        parts = {"operations": json.dumps(body), "map": json.dumps({"0": ["variables.file"]})}
        return self._http.post(url, data=parts, files={"0": ("job.sh", content)}, headers=all_headers)

    def _headers(self) -> dict[str, str]:
        if self._token is None:
            emulator = self.emulator
            credentials = {"login": emulator.login, "password": emulator.password}
            headers = {"Saagie-Realm": emulator.realm}
            answer = self._http.post(emulator.url + LOGIN_PATH, json=credentials, headers=headers)
            if answer.status_code != 200 or answer.text.count(".") != 1 or "<" in answer.text:
                raise ValueError(f"not a token: {answer.status_code} {answer.text[:100]}")
            self._token = answer.text
        return {"Authorization": f"Bearer {self._token}"}

    def _checked(self, answer: httpx.Response) -> httpx.Response:
        if answer.status_code == 401:
            self._token = None
        if answer.status_code != 200:
            raise ValueError(f"{answer.status_code} {answer.text[:200]}")
        return answer
