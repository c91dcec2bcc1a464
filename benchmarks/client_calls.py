"""What a call costs: how many requests, and the time and CPU of 1,000 ``get_instance`` beside a bare loop of requests.

Run it with ``python -m benchmarks.client_calls``: it ends with 1 where a figure is worse than what is promised.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from gql import Client, GraphQLRequest
from gql.transport.requests import RequestsHTTPTransport
from graphql import print_ast

from airflow_provider_saagie.client.documents import document
from airflow_provider_saagie.client.saagie import SaagieClient
from benchmarks.figures import Bound, machine, verdict
from benchmarks.quick_server import quick_server
from benchmarks.saagie_scene import (
    LOGIN,
    OFFICIAL,
    PLATFORM,
    REALM,
    last_line,
    make_instance,
    real_answer,
    running_emulator,
    settings_for,
)

if TYPE_CHECKING:
    from airflow_provider_saagie.emulator.testing import Emulator

CALLS, ROUNDS = 1_000, 10
OPERATION = "jobInstance"
# What a user of the official client writes: the schema is read when it is made.
OFFICIAL_CALL = """
import logging, sys, urllib.request, json
from saagieapi import SaagieApi
logging.disable()
url, platform, login, password, realm, instance = sys.argv[1:]
def total():
    return json.load(urllib.request.urlopen(url + "/emulator/stats"))["total"]
before = total()
api = SaagieApi(url, platform, login, password, realm)
api.jobs.get_instance(instance)
cold = total()
api.jobs.get_instance(instance)
print(json.dumps([cold - before, total() - cold]))
"""


def count_ours(emulator: Emulator, instance_id: str) -> tuple[int, int]:
    """Count the requests of a first and of a second call."""
    before = emulator.stats()["total"]
    with SaagieClient(settings_for(emulator.url, emulator.password)) as client:
        client.jobs.get_instance(instance_id)
        cold = emulator.stats()["total"]
        client.jobs.get_instance(instance_id)
        return cold - before, emulator.stats()["total"] - cold


def count_official(emulator: Emulator, instance_id: str) -> tuple[int, int] | None:
    """Count the same of the official client, where it is installed."""
    if not OFFICIAL.exists():
        return None
    told = [emulator.url, str(PLATFORM), LOGIN, emulator.password, REALM, instance_id]
    cold, next_one = json.loads(last_line([str(OFFICIAL), "-c", OFFICIAL_CALL, *told]))
    return cold, next_one


def measure(ways: dict[str, Callable[[], Any]]) -> dict[str, tuple[float, float]]:
    """Call each way equally often, in turns, so that what else runs on the machine meets all alike.

    :return: of each way, seconds and seconds of CPU for all calls.
    """
    took = {name: [0.0, 0.0] for name in ways}
    for call in ways.values():
        call()
    for _ in range(ROUNDS):
        for name, call in ways.items():
            began, busy = time.perf_counter(), time.process_time()
            for _ in range(CALLS // ROUNDS):
                call()
            took[name][0] += time.perf_counter() - began
            took[name][1] += time.process_time() - busy
    return {name: (seconds, busy) for name, (seconds, busy) in took.items()}


def ways_to_call(url: str, client: SaagieClient, instance_id: str) -> dict[str, Callable[[], Any]]:
    """Give the ways to read one instance; all send the same body and read the same answer."""
    node, variables = document(OPERATION).node, {"jobInstanceId": instance_id}
    endpoint = settings_for(url).projects_url
    http, blind = requests.Session(), requests.Session()
    blind.trust_env = False  # ours is blind, too: proxies and .netrc are looked for at each request otherwise
    for one in (http, blind):
        one.headers["Authorization"] = "Bearer a-token"
    body = {"query": print_ast(node), "operationName": OPERATION, "variables": variables}
    own = Client(transport=RequestsHTTPTransport(endpoint, headers={"Authorization": "Bearer a-token"}))
    session = own.connect_sync()
    return {
        "requests, bare": lambda: http.post(endpoint, json=body, timeout=60).json(),
        "the same, blind to the environment": lambda: blind.post(endpoint, json=body, timeout=60).json(),
        "gql's own client": lambda: session.execute(
            GraphQLRequest(node, variable_values=variables, operation_name=OPERATION)
        ),
        "SaagieHook().jobs.get_instance": lambda: client.jobs.get_instance(instance_id),
    }


def main() -> int:
    """Measure and print; 1 where a promise is not kept."""
    print(f"\nWhat a call costs. {machine()}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_emulator(folder / "emulator") as emulator:
            with SaagieClient(settings_for(emulator.url, emulator.password)) as client:
                _, instance_id = make_instance(client)
            cold, next_one = count_ours(emulator, instance_id)
            official = count_official(emulator, instance_id)
            answer = real_answer(emulator, OPERATION, {"jobInstanceId": instance_id})
        print(f"{'requests of':<36} {'a cold call':>12} {'each next one':>14}")
        print(f"{'SaagieHook().jobs':<36} {cold:12} {next_one:14}")
        print("{:<36} {:>12} {:>14}\n".format("saagieapi", *(official or ("not", "installed"))))
        answers = folder / "answers.json"
        answers.write_text(json.dumps({OPERATION: answer}))
        with quick_server(answers) as url, SaagieClient(settings_for(url)) as client:
            took = measure(ways_to_call(url, client, instance_id))
    bare_time, bare_cpu = took["requests, bare"]
    print(f"{CALLS:,} calls, in turns of {CALLS // ROUNDS}; an answer has {len(json.dumps(answer)):,} bytes\n")
    print(f"{'':<36} {'time':>9} {'CPU':>9} {'time':>9} {'CPU':>9}")
    for name, (seconds, busy) in took.items():
        ratios = f"{seconds / bare_time:7.2f} x {busy / bare_cpu:7.2f} x"
        print(f"{name:<36} {seconds * 1000:6.0f} ms {busy * 1000:6.0f} ms  {ratios}")
    seconds, busy = took["SaagieHook().jobs.get_instance"]
    return verdict(
        [
            Bound("requests of a cold call", cold, 2),
            Bound("requests of each next call", next_one, 1),
            Bound("time beside bare requests", seconds / bare_time, 2, "x"),
            Bound("CPU beside bare requests", busy / bare_cpu, 2, "x"),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
