"""What triggers leave in Airflow's database. What a released version has serialized, every later one loads.

`golden/` has every form that a version has written: add files' entries, never change or delete one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.sdk import Asset, AssetWatcher
from airflow.serialization.encoders import encode_trigger
from airflow.triggers.base import BaseEventTrigger

from airflow_provider_saagie.exceptions import SaagieValidationError
from airflow_provider_saagie.triggers import saagie
from airflow_provider_saagie.triggers.saagie import SaagieJobEventTrigger
from airflow_provider_saagie.triggers.told import Told

GOLDEN = Path(__file__).parent / "golden"
FORMS = [
    pytest.param(path.stem, form["kwargs"], id=f"{path.stem}: {form['what']}")
    for path in sorted(GOLDEN.glob("*.json"))
    for form in json.loads(path.read_text("utf-8"))
]
JOB = "f5fce22d-2152-4a01-8c6a-4c2eb4808b6d"


def test_every_trigger_has_a_golden_file() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(saagie.__all__)


@pytest.mark.parametrize(("name", "kwargs"), FORMS)
def test_a_form_that_a_version_has_written_is_loaded(name: str, kwargs: dict[str, Any]) -> None:
    """As the triggerer does it. A later version may add to the form, and has to keep what was in it."""
    kept = Trigger(classpath=f"airflow_provider_saagie.triggers.saagie.{name}", kwargs=kwargs)
    path, again = getattr(saagie, name)(**kept.kwargs).serialize()
    assert path == kept.classpath
    assert kwargs.items() <= again.items()


@pytest.mark.parametrize(("name", "kwargs"), FORMS)
def test_each_argument_has_an_entry(name: str, kwargs: dict[str, Any]) -> None:
    """A new argument needs a new entry."""
    _, now = getattr(saagie, name)(**kwargs).serialize()
    entries = [form for of, form in (param.values for param in FORMS) if of == name]
    assert any(now.keys() == entry.keys() for entry in entries)


def hash_of(watcher: AssetWatcher) -> int:
    encoded = encode_trigger(watcher.trigger)
    return BaseEventTrigger.hash(encoded["classpath"], encoded["kwargs"])


def test_equal_watchers_share_a_trigger_also_with_the_one_in_the_database() -> None:
    """A difference would make Airflow throw the trigger away, and begin another, each time it reads the DAG file."""
    one = AssetWatcher(name="a", trigger=SaagieJobEventTrigger(job_id=JOB, statuses=("FAILED", "SUCCEEDED")))
    same = AssetWatcher(
        name="b",
        trigger=SaagieJobEventTrigger(job_id=JOB.upper(), statuses={"succeeded", "failed"}, poll_interval=30.0),
    )
    assert hash_of(one) == hash_of(same)
    encoded = encode_trigger(one.trigger)
    kept = Trigger(classpath=encoded["classpath"], kwargs=encoded["kwargs"])
    assert BaseEventTrigger.hash(kept.classpath, kept.kwargs) == hash_of(one)


@pytest.mark.parametrize("other", [{"job_id": JOB.replace("f", "0")}, {"statuses": ["FAILED"]}, {"poll_interval": 5}])
def test_different_watchers_do_not_share_a_trigger(other: dict[str, Any]) -> None:
    one, another = (
        AssetWatcher(name="a", trigger=SaagieJobEventTrigger(**arguments))
        for arguments in ({"job_id": JOB}, {"job_id": JOB, **other})
    )
    assert hash_of(one) != hash_of(another)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"job_id": "report"}, "`job_id` is 'report'"),
        ({"job_id": None}, "`job_id` is None"),
        ({"statuses": ["SUCCESS"]}, r"`statuses` is \['SUCCESS'\]"),
        ({"statuses": ["RUNNING"]}, "should name ends"),
        ({"statuses": []}, "should name ends"),
        ({"poll_interval": 0}, "`poll_interval` is 0"),
        ({"poll_interval": "ten"}, "`poll_interval` is 'ten'"),
        ({"unknown_grace": -1}, "`unknown_grace` is -1"),
        ({"saagie_conn_id": ""}, "`saagie_conn_id` is ''"),
    ],
)
def test_what_cannot_be_watched_is_refused_in_the_dag_file(arguments: dict[str, Any], complaint: str) -> None:
    """And in a triggerer as a TypeError: any other from a constructor would end all of its triggers."""
    with pytest.raises(SaagieValidationError, match=complaint) as refused:
        Asset("a", watchers=[AssetWatcher(name="b", trigger=SaagieJobEventTrigger(**{"job_id": JOB, **arguments}))])
    assert isinstance(refused.value, TypeError)


def test_one_status_may_be_given_as_a_text() -> None:
    assert SaagieJobEventTrigger(job_id=JOB, statuses="failed").statuses == ["FAILED"]


def test_stored_progress_is_loaded_and_what_is_none_is_refused() -> None:
    """The first version's form; a later one may add keys."""
    stored = {"listed": 7, "open": ["a", "b"]}
    assert Told.from_stored({**stored, "later": 1}) == Told(7, {"a", "b"})
    assert Told(7, {"b", "a", "c"}).stored(without={"c"}) == stored
    for odd in (None, 7, [], {}, {**stored, "listed": "7"}, {**stored, "listed": -1}, {**stored, "open": [1]}):
        assert Told.from_stored(odd) is None
