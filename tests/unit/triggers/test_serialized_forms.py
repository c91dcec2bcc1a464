"""What triggers leave in Airflow's database. What a released version has serialized, every later version loads.

`golden/` has every form that a version has written: add entries, never change or delete one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.sdk import AssetWatcher
from airflow.serialization.encoders import encode_trigger
from airflow.triggers.base import BaseEventTrigger

from airflow_provider_saagie.exceptions import SaagieValidationError
from airflow_provider_saagie.triggers import saagie
from airflow_provider_saagie.triggers.saagie import SaagieJobEventTrigger
from airflow_provider_saagie.triggers.told import Told

GOLDEN = {
    path.stem: [form["kwargs"] for form in json.loads(path.read_text("utf-8"))]
    for path in (Path(__file__).parent / "golden").glob("*.json")
}
JOB = "f5fce22d-2152-4a01-8c6a-4c2eb4808b6d"


def test_form_of_every_version_is_loaded() -> None:
    """Load it as the triggerer does. A later version may add arguments, each with an entry, and keeps the others."""
    assert GOLDEN.keys() == set(saagie.__all__)
    for name, kwargs in [(name, kwargs) for name, forms in GOLDEN.items() for kwargs in forms]:
        stored = Trigger(classpath=f"airflow_provider_saagie.triggers.saagie.{name}", kwargs=kwargs)
        path, loaded = getattr(saagie, name)(**stored.kwargs).serialize()
        assert path == stored.classpath
        assert kwargs.items() <= loaded.items(), name
        assert loaded.keys() in [entry.keys() for entry in GOLDEN[name]], name


def hash_of(**arguments: Any) -> int:
    """Return what makes Airflow share a trigger or replace it, whenever it reads the DAG file."""
    encoded = encode_trigger(AssetWatcher(name="ends", trigger=SaagieJobEventTrigger(**arguments)).trigger)
    stored = Trigger(classpath=encoded["classpath"], kwargs=encoded["kwargs"])
    value = BaseEventTrigger.hash(encoded["classpath"], encoded["kwargs"])
    assert BaseEventTrigger.hash(stored.classpath, stored.kwargs) == value
    return value


def test_only_equal_watchers_share_a_trigger() -> None:
    plain, both = hash_of(job_id=JOB), hash_of(job_id=JOB, statuses=("FAILED", "SUCCEEDED"))
    assert both == hash_of(job_id=JOB.upper(), statuses={"succeeded", "failed"}, poll_interval=30.0)
    assert hash_of(job_id=JOB, statuses="failed") == hash_of(job_id=JOB, statuses=["FAILED"])
    others = hash_of(job_id=JOB.replace("f", "0")), hash_of(job_id=JOB, poll_interval=5)
    assert len({plain, both, hash_of(job_id=JOB, statuses="failed"), *others}) == 5


def test_unusable_argument_is_rejected() -> None:
    """It fails in the DAG file. In a triggerer it is a TypeError, since any other would end all of its triggers."""
    for arguments, complaint in (
        ({"job_id": "report"}, "`job_id` is 'report'"),
        ({"statuses": ["SUCCESS"]}, r"`statuses` is \['SUCCESS'\]"),
        ({"statuses": ["RUNNING"]}, "should name ends"),
        ({"statuses": []}, "should name ends"),
        ({"poll_interval": 0}, "`poll_interval` is 0"),
        ({"poll_interval": "ten"}, "`poll_interval` is 'ten'"),
        ({"poll_interval": True}, "`poll_interval` is True"),
        ({"unknown_grace": -1}, "`unknown_grace` is -1"),
        ({"saagie_conn_id": ""}, "`saagie_conn_id` is ''"),
    ):
        with pytest.raises(SaagieValidationError, match=complaint) as rejected:
            SaagieJobEventTrigger(**{"job_id": JOB, **arguments})  # type: ignore[arg-type]
        assert isinstance(rejected.value, TypeError)


def test_checkpoint_is_stored_and_loaded() -> None:
    """The first version's form; a later one may add keys."""
    stored = {"listed": 7, "open": ["a", "b"]}
    assert Told.from_stored({**stored, "later": 1}) == Told(7, {"a", "b"})
    assert Told(7, {"b", "a", "c"}).stored(without={"c"}) == stored
    for odd in (None, 7, [], {}, {**stored, "listed": "7"}, {**stored, "listed": -1}, {**stored, "open": [1]}):
        assert Told.from_stored(odd) is None, odd
