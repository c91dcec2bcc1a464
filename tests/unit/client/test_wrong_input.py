"""What can be known without the platform is refused before anything is sent: here nobody would answer."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_saagie.client.jobs import Jobs
from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.client.settings import read_settings
from airflow_provider_saagie.exceptions import SaagieConnectionError, SaagieValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ID = "f5fce22d-2152-4a01-8c6a-4c2eb4808b6d"
HUGE, LONG, HALF = 10**400, "9" * 5000, "\ud800"
NO_PATHS = (5, True, b"x", ["x"], HALF, "\0", "~nobody-of-that-name/x")
NO_IDS = (None, "", 5, "x", HUGE, LONG, HALF)
NO_FLAGS = ("False", "", 2, b"x", [], object())
NO_NUMBERS = (True, -1, 1.5, "", "x", "٣", HUGE, LONG, b"1")
NO_TEXTS = (5, True, b"x", ["x"], HALF)
NO_LISTS = ("x", b"x", 5, {"1": 1}, {})
NO_SECONDS = (True, -2, "1", float("nan"), HUGE, None)

# Of each parameter, wherever a method has it: what it must not be.
WRONG: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("job_id", "project_id", "job_instance_id", "target_project_id"), NO_IDS),
    **dict.fromkeys(("file", "path_to_folder", "output_folder", "error_folder"), NO_PATHS),
    **dict.fromkeys(("use_previous_artifact", "is_scheduled", "versions_only_current"), NO_FLAGS),
    **dict.fromkeys(("instances_limit", "versions_limit", "target_platform_id", "version_number"), NO_NUMBERS),
    **dict.fromkeys(("job_name", "description", "category", "technology", "technology_catalog"), NO_TEXTS),
    **dict.fromkeys(("runtime_version", "command_line", "release_note", "source_url"), NO_TEXTS),
    **dict.fromkeys(("extra_technology", "extra_technology_version"), NO_TEXTS),
    **dict.fromkeys(("project_name", "job_alias"), (None, "", " ", *NO_TEXTS)),
    "versions": (None, [True], ["x"], [HUGE], *NO_LISTS),
    "job_instances_id": (None, ["x"], [None], *NO_LISTS),
    **dict.fromkeys(("exclude_instances_id", "include_instances_id"), (["x"], [None], *NO_LISTS)),
    "selector": (None, "", "failed", ["FAILED"]),
    "date_before": (None, "", 5, "2023-06-01", "2023-06-01T00:00:00", "tomorrow", HALF),
    "cron_scheduling": (5, "@daily", "* * * * * *", "61 * * * *", "x", HALF, LONG),
    "resources": (5, "x", {"disk": {}}, {"cpu": 5}, {"cpu": {"request": "1"}}, {"cpu": {"request": float("nan")}},
                  {"cpu": {"request": HUGE}}, {"cpu": {"request": True}}, {"cpu": {"request": 2, "limit": 1}}),
    "emails": (5, "a@b", [b"a@b"], ["nobody"], [None]),
    "docker_info": (5, "x", {"image": None}, {"image": 5}, {"image": ""}, {"image": "x", "more": 1},
                    {"image": "x", "dockerCredentialsId": "x"}),
    "freq": (0, *NO_SECONDS),
    "timeout": NO_SECONDS,
}  # fmt: skip
# What a method needs besides, so that the parameter is what is wrong.
SOUND: dict[str, Any] = {
    **dict.fromkeys(("job_id", "project_id", "job_instance_id", "target_project_id"), ID),
    **dict.fromkeys(("job_name", "project_name", "job_alias", "output_folder", "path_to_folder"), "x"),
    **dict.fromkeys(("target_platform_id", "version_number"), 1),
    "versions": [1], "job_instances_id": [ID], "selector": "ALL", "date_before": "2023-06-01T00:00:00Z",
}  # fmt: skip


# Two that mean something beside others only, with a test of their own; and one that does nothing.
ELSEWHERE = {"schedule_timezone", "status_list", "pprint_result"}


@pytest.fixture(scope="module")
def jobs() -> Iterator[Jobs]:
    """The face, on a platform that is not there: whatever is sent ends with a SaagieConnectionError."""
    extra = {"realm": "r", "platform_id": 1, "retries": 0}
    with SaagieClient(read_settings(host="http://127.0.0.1:9", login="me", password="x", extra=extra)) as client:
        yield client.jobs


def cases() -> Iterator[Any]:
    for name, method in inspect.getmembers(Jobs, inspect.isfunction):
        for parameter in inspect.signature(method).parameters:
            if parameter in WRONG and not name.startswith("_"):
                yield pytest.param(name, parameter, id=f"{name}-{parameter}")


def needs_of(name: str) -> dict[str, Any]:
    parameters = inspect.signature(getattr(Jobs, name)).parameters.values()
    return {one.name: SOUND[one.name] for one in parameters if one.default is one.empty and one.name != "self"}


def test_every_parameter_is_among_them() -> None:
    methods = [method for name, method in inspect.getmembers(Jobs, inspect.isfunction) if not name.startswith("_")]
    parameters = {parameter for method in methods for parameter in inspect.signature(method).parameters}
    assert parameters - WRONG.keys() - {"self"} == ELSEWHERE


@pytest.mark.parametrize(("name", "parameter"), list(cases()))
@pytest.mark.filterwarnings("ignore:count_instances_by_status is deprecated:DeprecationWarning")
def test_wrong_input_is_named_before_anything_is_sent(
    jobs: Jobs, name: str, parameter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for wrong in WRONG[parameter]:
        with pytest.raises(SaagieValidationError) as caught:
            getattr(jobs, name)(**{**needs_of(name), parameter: wrong})
        assert parameter in str(caught.value), wrong
        assert len(str(caught.value)) < 600
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["create", "edit", "create_or_upgrade"])
def test_a_schedules_timezone_and_the_statuses_of_an_alert_are_checked(jobs: Jobs, name: str) -> None:
    more: dict[str, Any]
    for more in (
        *({"cron_scheduling": "0 0 * * *", "schedule_timezone": zone} for zone in (5, "", "Mars/Phobos", HALF)),
        *({"emails": ["a@b"], "status_list": statuses} for statuses in (5, "FAILED", ["failed"], [None], [b"FAILED"])),
    ):
        with pytest.raises(SaagieValidationError, match=r"schedule_timezone|status_list"):
            getattr(jobs, name)(**needs_of(name), **more)


@pytest.mark.parametrize("timeout", [-1, 0, 0.5, 60, float("inf")])
def test_what_is_sound_is_sent(jobs: Jobs, timeout: float) -> None:
    with pytest.raises(SaagieConnectionError):
        jobs.run_with_callback(ID, freq=1, timeout=timeout)  # type: ignore[arg-type]  # the reference says int


def test_a_path_that_is_too_long_is_our_own_error(jobs: Jobs, tmp_path: Path) -> None:
    long = str(tmp_path / ("x" * 5000))
    with pytest.raises(SaagieValidationError, match="File name too long"):
        jobs.create("x", ID, file=long)
    with pytest.raises(SaagieValidationError, match="File name too long"):
        jobs.import_from_json(ID, long)
