"""The few calls to Airflow's REST API that the demo and the tests need."""

from __future__ import annotations

import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from scripts.processes import StackError

FINAL_RUN_STATES = frozenset({"success", "failed"})
DATABASE_ERROR = '"Database error"'
"""What Airflow's answer holds where its database refused: on SQLite, two requests that wait for each other's lock."""
TRIES = 6


class AirflowApi:
    """A logged-in session with one Airflow.

    :param url: the API server's address.
    :param login: the user.
    :param password: the user's password.
    :param retry_pause: seconds before the first repetition of a request that Airflow's database refused; each further
        pause is longer by as much.
    """

    def __init__(self, url: str, login: str, password: str, *, retry_pause: float = 1.0) -> None:
        self.url = url
        self._retry_pause = retry_pause
        self._credentials = {"username": login, "password": password}
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy and no netrc between this machine and itself
        # A server that closes an idle connection as it is used once more has not read the request.
        self._session.mount("http://", HTTPAdapter(max_retries=Retry(2, status=0, allowed_methods={"GET"})))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def log_in(self) -> None:
        """Get a token; another Airflow that sits on our port would refuse us here."""
        answer = self._session.post(f"{self.url}/auth/token", json=self._credentials, timeout=10)
        answer.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def call(self, method: str, path: str, *, timeout: float = 30, **options: Any) -> Any:
        """Send a request. Repeat it when Airflow's database refused it: then nothing of it was done.

        :param method: the HTTP method.
        :param path: below `/api/v2/`.
        :param timeout: seconds without a word from Airflow.
        :return: the answer's JSON, None where it has none.
        :raises StackError: the answer was an error; its text is shown.
        """
        for number in range(TRIES):
            time.sleep(number * self._retry_pause)
            answer = self._session.request(method, f"{self.url}/api/v2/{path}", timeout=timeout, **options)
            if answer.status_code != 500 or DATABASE_ERROR not in answer.text:
                break
        if not answer.ok:
            raise StackError(f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:400]}")
        return answer.json() if answer.content else None

    def unhealthy(self) -> list[str]:
        """Return the names of the components that are not healthy."""
        try:
            health = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=5).json()
        except (requests.RequestException, ValueError):
            return ["api-server"]
        names = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        return [name for name in names if (health.get(name) or {}).get("status") != "healthy"]

    def import_errors(self) -> list[str]:
        """Return what went wrong in DAG files that could not be read."""
        return [error["stack_trace"] for error in self.call("GET", "importErrors")["import_errors"]]

    def wait_for_dag(self, dag_id: str, seconds: float = 60) -> None:
        """Wait until Airflow knows a DAG.

        :raises StackError: it doesn't in time, or its file can't be read.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.call("GET", "dags", params={"dag_id_pattern": dag_id})["dags"]
            if any(dag["dag_id"] == dag_id for dag in found):
                return
            if errors := self.import_errors():
                raise StackError("A DAG file could not be read:\n" + "\n".join(errors))
            time.sleep(0.3)
        raise StackError(f"Airflow has not found the DAG {dag_id} within {seconds:.0f} s.")

    def put_connection(self, connection: dict[str, Any]) -> None:
        """Make or replace a connection; `connection` has the REST API's fields."""
        path = f"connections/{connection['connection_id']}"
        if self.connection(connection["connection_id"]) is None:
            self.call("POST", "connections", json=connection)
        else:
            self.call("PATCH", path, json=connection)

    def connection(self, connection_id: str) -> dict[str, Any] | None:
        """Return a connection as the REST API shows it (password masked), None where there is none."""
        answer = self._session.get(f"{self.url}/api/v2/connections/{connection_id}", timeout=30)
        if answer.status_code == requests.codes.not_found:
            return None
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def check_connection(self, connection: dict[str, Any]) -> dict[str, Any]:
        """Do what the form's Test button does; return `{"status": bool, "message": str}`."""
        result: dict[str, Any] = self.call("POST", "connections/test", json=connection)
        return result

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Start a DAG run and return its id."""
        body = {"logical_date": None, "conf": conf or {}}
        run_id: str = self.call("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"]
        return run_id

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a DAG run."""
        state: str = self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"]
        return state

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run; mapped ones come one by one, with `map_index`."""
        found: list[dict[str, Any]] = self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances")[
            "task_instances"
        ]
        return found

    def task(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Return one task instance."""
        which = "" if map_index < 0 else f"/{map_index}"
        found: dict[str, Any] = self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}{which}")
        return found

    def wait_for_run(self, dag_id: str, run_id: str, seconds: float = 120) -> str:
        """Wait until a run has ended and return its state."""
        deadline = time.monotonic() + seconds
        while (state := self.run_state(dag_id, run_id)) not in FINAL_RUN_STATES:
            if time.monotonic() > deadline:
                raise StackError(f"The run {run_id} of {dag_id} is still {state} after {seconds:.0f} s.")
            time.sleep(0.3)
        return state

    def wait_for_state(
        self, dag_id: str, run_id: str, task_id: str, *states: str, seconds: float = 60, map_index: int = -1
    ) -> dict[str, Any]:
        """Wait until a task instance is in one of the states, and return it."""
        deadline = time.monotonic() + seconds
        while (task := self.task(dag_id, run_id, task_id, map_index))["state"] not in states:
            if time.monotonic() > deadline:
                raise StackError(f"{task_id} is {task['state']} after {seconds:.0f} s, not {' or '.join(states)}.")
            time.sleep(0.2)
        return task

    def log(
        self, dag_id: str, run_id: str, task_id: str, try_number: int | None = None, map_index: int = -1
    ) -> list[Any]:
        """Return the log of a task's try, by default the last: one dict per line, with `timestamp`, `event`, `level`.

        Airflow may try a task twice where its trigger fires before the scheduler has heard of the deferral, and has no
        log of the first try then.
        """
        if try_number is None:
            try_number = self.task(dag_id, run_id, task_id, map_index)["try_number"]
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        options = {"map_index": map_index, "full_content": "true"}
        lines: list[Any] = self.call("GET", path, params=options, headers={"Accept": "application/json"})["content"]
        return lines

    def log_text(
        self, dag_id: str, run_id: str, task_id: str, try_number: int | None = None, map_index: int = -1
    ) -> str:
        """Return the log of a task's try, by default the last, as text, one event a line."""
        return "\n".join(str(line["event"]) for line in self.log(dag_id, run_id, task_id, try_number, map_index))

    def links(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, str | None]:
        """Return a task instance's extra links, by name."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/links"
        found: dict[str, str | None] = self.call("GET", path, params={"map_index": map_index})["extra_links"]
        return found

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return the value of an XCom, None where there is none."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries"
        entries = self.call("GET", path, params={"map_index": map_index})["xcom_entries"]
        if key not in {entry["key"] for entry in entries}:
            return None
        try:
            return self.call("GET", f"{path}/{key}", params={"map_index": map_index, "deserialize": "false"})["value"]
        except StackError as error:
            if "XCom entry with key" in str(error):  # the next try began between the two questions, which takes it away
                return None
            raise

    def set_task_state(self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int | None = None) -> None:
        """Mark a task instance `failed`, `success` or `skipped`, as a user does in the UI."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        options = {} if map_index is None else {"map_index": map_index}
        self.call("PATCH", path, params=options, json={"new_state": state})

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """Mark a whole run `failed` or `success`."""
        self.call("PATCH", f"dags/{dag_id}/dagRuns/{run_id}", json={"state": state})

    def clear(self, dag_id: str, run_id: str, *task_ids: str, timeout: float = 30) -> None:
        """Clear tasks of a run, as a user does in the UI: each runs again."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": list(task_ids),
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.call("POST", f"dags/{dag_id}/clearTaskInstances", json=body, timeout=timeout)

    def clear_run(self, dag_id: str, run_id: str, *, timeout: float = 30) -> None:
        """Clear a whole run, as a user does in the UI: all of it runs again."""
        body = {"dry_run": False, "only_failed": False}
        self.call("POST", f"dags/{dag_id}/dagRuns/{run_id}/clear", json=body, timeout=timeout)

    def run_url(self, dag_id: str, run_id: str) -> str:
        """Return the address of a run in Airflow's UI."""
        return f"{self.url}/dags/{dag_id}/runs/{run_id}"
