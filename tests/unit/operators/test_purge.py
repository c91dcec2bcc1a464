"""Which instances a purge deletes, and which version a rollback goes back to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_saagie.client import instances
from airflow_provider_saagie.client.instances import JobInstance
from airflow_provider_saagie.client.purge import Criteria, choose
from airflow_provider_saagie.client.versions import JobVersions

NOW = datetime(2026, 6, 1, tzinfo=UTC)
STATUSES = {5: "SUCCEEDED", 4: "FAILED", 3: "KILLED", 2: "SUCCEEDED", 1: "ERROR"}
ALL = [
    JobInstance(f"i{n}", number=n, job_id="j", status=status, start_time=(NOW - timedelta(days=100 - n)).isoformat())
    for n, status in STATUSES.items()
]
BEFORE_3 = NOW - timedelta(days=97)

CHOICES = [
    (Criteria(), []),
    (Criteria(selector="ALL"), [5, 4, 3, 2, 1]),
    (Criteria(selector="FAILED"), [4, 1]),
    (Criteria(selector="STOPPED"), [3]),
    (Criteria(selector="SUCCEEDED", keep_last=1), [2]),
    (Criteria(keep_last=3), [2, 1]),
    (Criteria(keep_last=0), [5, 4, 3, 2, 1]),
    (Criteria(before=BEFORE_3), [2, 1]),
    (Criteria(selector="FAILED", before=BEFORE_3), [1]),
    (Criteria(selector="ALL", exclude=("i5", "i2")), [4, 3, 1]),
    (Criteria(include=("i3",)), [3]),
    (Criteria(selector="FAILED", exclude=("i4",), include=("i4", "i5")), [5, 4, 1]),
    (Criteria(keep_last=5, include=("i5",)), [5]),
]


def test_criteria_narrow_each_other_and_include_wins() -> None:
    for criteria, numbers in CHOICES:
        assert [instance.number for instance in choose(ALL, criteria)] == numbers, criteria


@given(st.integers(0, 8), st.sampled_from([None, *instances.SELECTORS]))
def test_keep_last_keeps_newest_whatever_else_is_given(keep_last: int, selector: str | None) -> None:
    chosen = choose(ALL, Criteria(selector=selector, keep_last=keep_last, before=NOW))
    assert not set(chosen) & set(ALL[:keep_last])


def test_previous_version_is_next_lower_number() -> None:
    for numbers, current, previous in [((5, 4, 2), 4, 2), ((5, 2), 2, None), ((1,), None, None), ((), None, None)]:
        assert JobVersions(numbers, current).previous == previous, numbers
