"""What outcomes mean and what is repeated: pure functions, tested as such."""

from __future__ import annotations

import itertools
import json
import pickle
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import tenacity
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_saagie import exceptions as errors
from airflow_provider_saagie.client import core
from airflow_provider_saagie.client.outcomes import Answer, Broken, Fault, Outcome, Refused
from airflow_provider_saagie.client.settings import read_settings

SETTINGS = read_settings(
    host="https://acme-x.saagie.io",
    login="me",
    password="hunter2",
    extra={"platform_id": 6, "proxy": "http://user:pr0xy@proxy.io"},
)


def test_fault_that_may_have_arrived_leaves_a_change_unknown() -> None:
    """The other outcomes are rows of test_transports."""
    late = {Fault.TIMEOUT, Fault.CONNECT_TIMEOUT}
    may_have_arrived = {Fault.TLS_BROKEN, Fault.TIMEOUT, Fault.LOST}
    for fault, is_mutation in itertools.product(Fault, (False, True)):
        kind: type[errors.SaagieError] = errors.SaagieTimeout if fault in late else errors.SaagieConnectionError
        with pytest.raises(errors.SaagieError, match=r"runJob.*https://acme-x\.saagie\.io") as caught:
            core.meaning("runJob", Broken(fault), SETTINGS, is_mutation=is_mutation)
        if is_mutation and fault in may_have_arrived:
            kind = errors.SaagieOutcomeUnknown
        assert type(caught.value) is kind
        assert (caught.value.operation, caught.value.host) == ("runJob", "https://acme-x.saagie.io")


def test_change_is_repeated_only_if_surely_not_made() -> None:
    not_sent = {Fault.UNKNOWN_NAME, Fault.UNREACHABLE, Fault.PROXY, Fault.CONNECT_TIMEOUT}
    reads = {*Fault, 429, *range(500, 600)} - {Fault.TLS}
    for is_mutation, repeated in ((True, {*not_sent, 429}), (False, reads)):
        outcomes = {fault: Broken(fault) for fault in Fault} | {status: Refused(status) for status in range(200, 600)}
        assert repeated == {
            each for each, outcome in outcomes.items() if core.worth_repeating(outcome, is_mutation=is_mutation)
        }


def waits(outcomes: list[Outcome], retries: int) -> tuple[Outcome, list[float]]:
    """Let tenacity run over outcomes; return the last one and the seconds of each wait."""
    slept: list[float] = []
    supply = iter(outcomes)
    retrying = tenacity.Retrying(sleep=slept.append, **core.decisions(retries, is_mutation=False))
    return retrying(lambda: next(supply)), slept


def test_retry_after_is_obeyed_unless_too_long() -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 3000 < (core.retry_after(Refused(429, {"retry-after": in_an_hour})) or 0) <= 3600
    passed = Refused(429, {"retry-after": "Thu, 01 Jan 2026 00:00:00 GMT"})
    assert waits([Refused(503, {"Retry-After": "7"}), passed, Answer({})], retries=5)[1] == [7, 0]
    too_long = Refused(503, {"Retry-After": "3600"})
    assert waits([too_long], retries=5) == (too_long, [])


def test_garbled_header_is_ignored() -> None:
    for garbled in ("soon", "Mon, 01 Jan 2026 00:00:00", f"Mon, 01 Jan {10**20} 00:00:00 GMT"):
        _, slept = waits([Refused(503, {"Retry-After": garbled}), Answer({})], retries=5)
        assert 0 < slept[0] <= 1, garbled
        assert core.clock_ahead({"Date": garbled}, 0.0) is None, garbled


@settings(deadline=None)
@given(st.integers(0, 8), st.lists(st.sampled_from([Refused(503), Broken(Fault.LOST), Answer({})]), min_size=9))
def test_attempts_are_bounded_and_the_last_outcome_counts(retries: int, outcomes: list[Outcome]) -> None:
    outcome, slept = waits([*outcomes, Answer({})], retries)
    first_good = next((n for n, one in enumerate(outcomes) if isinstance(one, Answer)), len(outcomes))
    assert len(slept) == min(retries, first_good)
    assert outcome == [*outcomes, Answer({})][len(slept)]
    assert all(0 < wait <= core.LONGEST_WAIT for wait in slept)


def test_error_shows_little_of_a_body_and_no_secret() -> None:
    """More in test_secrets."""
    body = "<script>hunter2</script>, Authorization: Bearer eyJhbGciOi, http://user:pr0xy@proxy.io" * 100
    said = Answer(None, ({"message": body, "extensions": {"classification": body}},))
    for outcome in (Refused(500, {}, body), Refused(302, {"Location": body}), Broken(Fault.LOST, body), said):
        with pytest.raises(errors.SaagieError) as caught:
            core.meaning("job", outcome, SETTINGS, is_mutation=False)
        assert len(str(caught.value)) < 1000
        assert not re.search("hunter2|eyJhbGciOi|pr0xy", str(caught.value))


def test_error_quotes_three_messages() -> None:
    said = tuple({"message": f"wrong {n}"} for n in range(50))
    for outcome in (Answer(None, said), Refused(400, {}, json.dumps({"errors": said}))):
        with pytest.raises(errors.SaagieApiError, match=r"wrong 0; wrong 1; wrong 2 \(and 47 more\)") as caught:
            core.meaning("job", outcome, SETTINGS, is_mutation=False)
        assert caught.value.messages == tuple(f"wrong {n}" for n in range(50))
        assert "wrong 3" not in str(caught.value)


def test_login_answer_is_never_quoted() -> None:
    bodies = {status: ["tok-en-body"] for status in itertools.chain(range(201, 209), range(300, 309), range(400, 510))}
    bodies[200] = ["", "<!doctype html><html></html>", "two words", "a" * 20_000, "<token>"]
    for status, body in [(status, body) for status, several in bodies.items() for body in several]:
        with pytest.raises(errors.SaagieError) as caught:
            core.token_of(Refused(status, {}, body), SETTINGS)
        assert not body or body not in str(caught.value), status
        assert status != 200 or type(caught.value) is errors.SaagieProtocolError, body


def test_errors_are_pickled_with_their_attributes() -> None:
    error = errors.SaagieApiError("no", operation="job", host="h", messages=("a",), classification="X", path=("job",))
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (errors.SaagieApiError, "no", vars(error))
    assert (copy.messages, copy.path) == (("a",), ("job",))
