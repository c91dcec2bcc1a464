"""Arguments that are wrong in themselves are refused before anything is sent, by an error that names them."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, cast

import pytest

from airflow_provider_saagie.client.calls import Call, Steps
from airflow_provider_saagie.client.jobs import Jobs
from airflow_provider_saagie.exceptions import SaagieValidationError
from tests.support.errors import error_message

ID = "f5fce22d-2152-4a01-8c6a-4c2eb4808b6d"
HUGE, LONG, HALF = 10**400, "9" * 5000, "\ud800"
PATHS = (5, True, b"x", ["x"], HALF, "\0", "~nobody-of-that-name/x")
TEXTS = (5, True, b"x", ["x"], HALF)
LISTS = ("x", b"x", 5, {"1": 1}, {})
SECONDS = (True, -2, "1", float("nan"), HUGE, None)

# Kinds of arguments: the parameters of each, in whichever method, and what they must not be.
WRONG: dict[str, tuple[set[str], tuple[Any, ...]]] = {
    "id": ({"job_id", "project_id", "job_instance_id", "target_project_id"}, (None, "", 5, "x", HUGE, LONG, HALF)),
    "file": ({"file"}, (*PATHS, "/no/such/file", "/")),
    "folder": ({"path_to_folder", "output_folder", "error_folder"}, PATHS),
    "flag": ({"use_previous_artifact", "is_scheduled", "versions_only_current"}, ("False", "", 2, b"x", [], object())),
    "number": (
        {"instances_limit", "versions_limit", "target_platform_id", "version_number"},
        (True, -1, 2**31, 1.5, "", "x", "٣", HUGE, LONG, b"1"),
    ),
    "text": (
        {"description", "category", "technology", "technology_catalog", "runtime_version", "command_line",
         "release_note", "source_url", "job_name", "extra_technology", "extra_technology_version"},
        TEXTS,
    ),
    "name": ({"project_name", "job_alias"}, (None, "", " ", *TEXTS)),
    "list of numbers": ({"versions"}, (None, [True], ["x"], [HUGE], *LISTS)),
    "list of ids": ({"job_instances_id"}, (None, ["x"], [None], *LISTS)),
    "optional list of ids": ({"exclude_instances_id", "include_instances_id"}, (["x"], [None], *LISTS)),
    "selector": ({"selector"}, (None, "", "failed", ["FAILED"])),
    "date": ({"date_before"}, (None, "", 5, "2023-06-01", "2023-06-01T00:00:00", "tomorrow", HALF)),
    "cron": ({"cron_scheduling"}, (5, "@daily", "* * * * * *", "61 * * * *", "x", HALF, LONG)),
    "resources": (
        {"resources"},
        (5, "x", {"disk": {}}, {"cpu": 5}, {"cpu": {"request": "1"}}, {"cpu": {"request": float("nan")}},
         {"cpu": {"request": HUGE}}, {"cpu": {"request": True}}, {"cpu": {"request": 2, "limit": 1}}),
    ),
    "emails": ({"emails"}, (5, "a@b", [b"a@b"], ["nobody"], [None])),
    "docker": (
        {"docker_info"},
        (5, "x", {"image": None}, {"image": 5}, {"image": ""}, {"image": "x", "more": 1}, {"dockerCredentialsId": ID},
         {"image": "x", "dockerCredentialsId": "x"}),
    ),
    "seconds": ({"freq", "timeout"}, SECONDS),
}  # fmt: skip
# The other arguments that a method needs.
SOUND: dict[str, Any] = {
    **dict.fromkeys(("job_id", "project_id", "job_instance_id", "target_project_id"), ID),
    **dict.fromkeys(("job_name", "project_name", "job_alias", "output_folder", "path_to_folder"), "x"),
    **dict.fromkeys(("target_platform_id", "version_number"), 1),
    "versions": [1], "job_instances_id": [ID], "selector": "ALL", "date_before": "2023-06-01T00:00:00Z",
}  # fmt: skip
# Two of them mean something with others only and have a test of their own; the third has no effect.
ELSEWHERE = {"schedule_timezone", "status_list", "pprint_result"}
METHODS = {name: method for name, method in inspect.getmembers(Jobs, inspect.isfunction) if not name.startswith("_")}
PARAMETERS = {name: dict(list(inspect.signature(method).parameters.items())[1:]) for name, method in METHODS.items()}


class Sent(Exception):
    """An operation passed its checks and yielded its first request."""


class Unsent:
    """A session that sends nothing."""

    def run(self, steps: Steps[Any]) -> None:
        assert isinstance(next(steps), Call)
        raise Sent


def call(name: str, **arguments: Any) -> Any:
    """Call a method of `Jobs` with these arguments, and sound ones for the others that it needs."""
    needed = {one: SOUND[one] for one, parameter in PARAMETERS[name].items() if parameter.default is parameter.empty}
    return getattr(Jobs(cast("Any", Unsent())), name)(**{**needed, **arguments})


def test_wrong_values_cover_every_parameter() -> None:
    parameters = {parameter for of_method in PARAMETERS.values() for parameter in of_method}
    assert parameters - {name for names, _ in WRONG.values() for name in names} == ELSEWHERE


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.filterwarnings("ignore:count_instances_by_status is deprecated:DeprecationWarning")
def test_wrong_value_is_named_before_sending(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names, values = WRONG[kind]
    for method, parameters in PARAMETERS.items():
        for parameter in names & parameters.keys():
            for value in values:
                message = error_message(SaagieValidationError, call, method, **{parameter: value})
                assert parameter in message, (method, parameter, value)
                assert len(message) < 600
    assert list(tmp_path.iterdir()) == []


def test_wrong_combination_is_named_before_sending(tmp_path: Path) -> None:
    cron, emails = {"cron_scheduling": "0 0 * * *"}, {"emails": ["a@b"]}
    too_long = str(tmp_path / ("x" * 5000))
    create, both, scheduling = ["create"], ["create", "upgrade"], ["create", "edit", "create_or_upgrade"]
    rows: list[tuple[list[str], dict[str, Any], str]] = [
        *((create, {"job_name": name}, "job_name") for name in ("", " ")),
        (create, {"status_list": ["FAILED"]}, "without `emails`"),
        (both, {"extra_technology": "Python"}, "`extra_technology_version` is None"),
        (both, {"extra_technology_version": "3.11"}, "without `extra_technology`"),
        (both, {"file": "/no/such/file.py"}, "does not exist"),
        (both, {"file": "/"}, "is a folder"),
        (create, {"file": too_long}, "File name too long"),
        (["import_from_json"], {"path_to_folder": too_long}, "File name too long"),
        *((scheduling, {**cron, "schedule_timezone": zone}, "schedule_timezone") for zone in (5, "", "Mars/X", HALF)),
        *(
            (scheduling, {**emails, "status_list": statuses}, "status_list")
            for statuses in (5, "FAILED", ["failed"], ["DONE"], [None], [b"FAILED"])
        ),
    ]
    for methods, arguments, named in rows:
        for method in methods:
            assert named in error_message(SaagieValidationError, call, method, **arguments), (method, arguments)


def test_sound_arguments_are_sent(tmp_path: Path) -> None:
    file = tmp_path / "job.py"
    file.touch()
    sound: list[tuple[str, dict[str, Any]]] = [
        *(("run_with_callback", {"freq": 1, "timeout": timeout}) for timeout in (-1, 0, 0.5, 60, float("inf"))),
        *(("rollback", {"version_number": number}) for number in (0, 2**31 - 1, " 1 ")),
        ("delete_instances_by_selector", {"exclude_instances_id": None, "include_instances_id": [ID]}),
        ("create", {
            "file": str(file), "cron_scheduling": "0 0 * * *", "schedule_timezone": "Europe/Paris",
            "emails": ["a@b"], "status_list": ["KILLED"], "docker_info": {"image": "x", "dockerCredentialsId": ID},
            "resources": {"cpu": {"request": 0.5, "limit": 1}, "memory": None}, "extra_technology": "Python",
            "extra_technology_version": "3.10",
        }),
    ]  # fmt: skip
    for method, arguments in sound:
        with pytest.raises(Sent):
            call(method, **arguments)
