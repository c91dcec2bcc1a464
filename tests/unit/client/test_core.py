"""What outcomes mean and what is repeated: pure functions, tested as such."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_saagie import exceptions as errors
from airflow_provider_saagie.client import core, outcomes
from airflow_provider_saagie.client.outcomes import Answer, Broken, Fault, Refused
from airflow_provider_saagie.client.settings import read_settings

SETTINGS = read_settings(
    host="https://acme-x.saagie.io",
    login="me",
    password="hunter2",
    extra={"platform_id": 6, "proxy": "http://user:pr0xy@proxy.io"},
)

# outcome: what it means for a read, what for a mutation
MEANINGS = [
    (Answer(None), errors.SaagieProtocolError, errors.SaagieOutcomeUnknown),
    (Answer(None, ({"message": "no"},)), errors.SaagieApiError, errors.SaagieApiError),
    (Answer({"a": None}, ({"message": "no"},)), errors.SaagieApiError, errors.SaagieApiError),
    (Answer({"a": 1}, ({"message": "no"},)), errors.SaagieApiError, errors.SaagieOutcomeUnknown),
    (Answer(None, ({},)), errors.SaagieApiError, errors.SaagieApiError),
    (
        Answer(None, ({"message": "no", "extensions": {"classification": "NOT_FOUND"}},)),
        errors.SaagieNotFound,
        errors.SaagieNotFound,
    ),
    (
        Answer(None, ({"message": "no", "extensions": {"classification": "FORBIDDEN"}},)),
        errors.SaagieAuthError,
        errors.SaagieAuthError,
    ),
    (Broken(Fault.UNKNOWN_NAME), errors.SaagieConnectionError, errors.SaagieConnectionError),
    (Broken(Fault.UNREACHABLE), errors.SaagieConnectionError, errors.SaagieConnectionError),
    (Broken(Fault.PROXY), errors.SaagieConnectionError, errors.SaagieConnectionError),
    (Broken(Fault.TLS), errors.SaagieConnectionError, errors.SaagieConnectionError),
    (Broken(Fault.TLS_BROKEN), errors.SaagieConnectionError, errors.SaagieOutcomeUnknown),
    (Broken(Fault.CONNECT_TIMEOUT), errors.SaagieTimeout, errors.SaagieTimeout),
    (Broken(Fault.TIMEOUT), errors.SaagieTimeout, errors.SaagieOutcomeUnknown),
    (Broken(Fault.LOST), errors.SaagieConnectionError, errors.SaagieOutcomeUnknown),
    (Refused(200, {}, "<html>"), errors.SaagieProtocolError, errors.SaagieOutcomeUnknown),
    (Refused(204), errors.SaagieProtocolError, errors.SaagieOutcomeUnknown),
    (Refused(302, {"Location": "https://evil.io"}), errors.SaagieProtocolError, errors.SaagieProtocolError),
    (Refused(400, {}, '{"errors": [{"message": "bad"}]}'), errors.SaagieApiError, errors.SaagieApiError),
    (Refused(401), errors.SaagieAuthError, errors.SaagieAuthError),
    (Refused(403), errors.SaagieAuthError, errors.SaagieAuthError),
    (Refused(404), errors.SaagieNotFound, errors.SaagieNotFound),
    (Refused(429), errors.SaagieConnectionError, errors.SaagieConnectionError),
    (Refused(500), errors.SaagieConnectionError, errors.SaagieOutcomeUnknown),
    (Refused(503), errors.SaagieConnectionError, errors.SaagieOutcomeUnknown),
]


@pytest.mark.parametrize(("outcome", "of_a_read", "of_a_mutation"), MEANINGS, ids=lambda value: str(value)[:60])
def test_each_outcome_has_its_meaning(outcome, of_a_read, of_a_mutation) -> None:
    for is_mutation, kind in ((False, of_a_read), (True, of_a_mutation)):
        with pytest.raises(errors.SaagieError) as caught:
            core.meaning("runJob", outcome, SETTINGS, is_mutation=is_mutation)
        assert type(caught.value) is kind
        assert "runJob" in str(caught.value)
        assert "https://acme-x.saagie.io" in str(caught.value)
        assert (caught.value.operation, caught.value.host) == ("runJob", "https://acme-x.saagie.io")


def test_a_change_is_only_repeated_where_it_surely_was_not_made() -> None:
    repeated = {
        outcome for outcome, *_ in MEANINGS if _hashable(outcome) and core.worth_repeating(outcome, is_mutation=True)
    }
    assert repeated == {
        Broken(Fault.UNKNOWN_NAME),
        Broken(Fault.UNREACHABLE),
        Broken(Fault.PROXY),
        Broken(Fault.CONNECT_TIMEOUT),
    }
    assert core.worth_repeating(Refused(429), is_mutation=True)
    for status in (200, 302, 400, 401, 403, 404, 500, 502, 503):
        assert not core.worth_repeating(Refused(status), is_mutation=True)


def _hashable(outcome: object) -> bool:
    return isinstance(outcome, Broken)


def test_a_read_is_repeated_after_whatever_may_pass() -> None:
    again = [fault for fault in Fault if core.worth_repeating(Broken(fault), is_mutation=False)]
    assert again == [fault for fault in Fault if fault is not Fault.TLS]
    assert [status for status in range(200, 600) if core.worth_repeating(Refused(status), is_mutation=False)] == [
        429,
        *range(500, 600),
    ]


def waits(
    outcomes: list[outcomes.Outcome], retries: int, *, is_mutation: bool = False
) -> tuple[outcomes.Outcome, list[float]]:
    """Let tenacity run over outcomes; give the last one and the seconds it waited."""
    slept: list[float] = []
    supply = iter(outcomes)
    retrying = tenacity.Retrying(sleep=slept.append, **core.decisions(retries, is_mutation=is_mutation))
    return retrying(lambda: next(supply)), slept


def test_retry_after_is_honoured_as_seconds_and_as_a_date() -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    _, slept = waits(
        [Refused(503, {"Retry-After": "7"}), Refused(429, {"retry-after": in_a_minute}), Answer({})], retries=5
    )
    assert slept[0] == 7
    assert 57 < slept[1] <= 60


def test_a_platform_that_asks_for_too_long_a_wait_is_not_waited_for() -> None:
    outcome, slept = waits([Refused(503, {"Retry-After": "3600"})], retries=5)
    assert (outcome, slept) == (Refused(503, {"Retry-After": "3600"}), [])


GARBLED = ["soon", "Mon, 01 Jan 2026 00:00:00", f"Mon, 01 Jan {10**20} 00:00:00 GMT"]


@pytest.mark.parametrize("garbled", GARBLED)
def test_garbled_retry_after_is_ignored(garbled: str) -> None:
    _, slept = waits([Refused(503, {"Retry-After": garbled}), Answer({})], retries=5)
    assert 0 < slept[0] <= 1


@pytest.mark.parametrize("garbled", GARBLED)
def test_a_garbled_date_tells_nothing_of_the_platforms_clock(garbled: str) -> None:
    assert core.clock_ahead({"Date": garbled}, 0.0) is None


@given(st.integers(0, 8), st.lists(st.sampled_from([Refused(503), Broken(Fault.LOST), Answer({})]), min_size=9))
def test_never_more_tries_than_allowed_and_the_last_outcome_counts(
    retries: int, outcomes: list[outcomes.Outcome]
) -> None:
    outcome, slept = waits([*outcomes, Answer({})], retries)
    first_good = next((n for n, one in enumerate(outcomes) if isinstance(one, Answer)), len(outcomes))
    assert len(slept) == min(retries, first_good)
    assert outcome == [*outcomes, Answer({})][len(slept)]
    assert all(0 < wait <= core.LONGEST_WAIT for wait in slept)


@pytest.mark.parametrize(
    "body",
    [
        "the password hunter2 is wrong",
        "Authorization: Bearer eyJhbGciOi",
        "could not open http://user:pr0xy@proxy.io",
        "<script>hunter2</script>" * 100,
    ],
)
def test_of_a_body_little_is_shown_and_no_secret(body: str) -> None:
    for outcome in (Refused(500, {}, body), Refused(302, {"Location": body}), Broken(Fault.LOST, body)):
        with pytest.raises(errors.SaagieError) as caught:
            core.meaning("job", outcome, SETTINGS, is_mutation=False)
        message = str(caught.value)
        assert len(message) < 800
        for secret in ("hunter2", "eyJhbGciOi", "pr0xy"):
            assert secret not in message


def test_the_platforms_own_words_are_redacted_and_few() -> None:
    said = ({"message": "the password hunter2 of Bearer abc.def"}, *({"message": f"wrong {n}"} for n in range(50)))
    for outcome in (Answer(None, said), Refused(400, {}, json.dumps({"errors": said}))):
        with pytest.raises(errors.SaagieError) as caught:
            core.meaning("job", outcome, SETTINGS, is_mutation=False)
        assert "hunter2" not in str(caught.value)
        assert "abc.def" not in str(caught.value)
        assert "and 48 more" in str(caught.value)
        assert len(str(caught.value)) < 800


@pytest.mark.parametrize(
    "body", ["", "<!doctype html><html></html>", "two words", "a" * 20_000, "<token>"], ids=lambda body: body[:12]
)
def test_what_is_no_token_is_refused_and_not_shown(body: str) -> None:
    with pytest.raises(errors.SaagieProtocolError) as caught:
        core.token_of(Refused(200, {}, body), SETTINGS)
    assert not body or body not in str(caught.value)


def test_the_answer_to_a_login_is_never_quoted() -> None:
    for status in itertools.chain(range(201, 209), range(300, 309), range(400, 430), range(500, 510)):
        with pytest.raises(errors.SaagieError) as caught:
            core.token_of(Refused(status, {}, "tok-en-body"), SETTINGS)
        assert "tok-en-body" not in str(caught.value)


@pytest.mark.parametrize("path", ["https://evil.io/x", "//evil.io/x", "x", "", "/\\evil.io", "@evil.io/x"])
def test_a_download_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(errors.SaagieProtocolError, match="refused"):
        core.check_download(path, SETTINGS)


def test_errors_survive_pickling_with_what_they_know() -> None:
    import pickle

    error = errors.SaagieApiError("no", operation="job", host="h", messages=("a",), classification="X", path=("job",))
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.messages, copy.path) == (errors.SaagieApiError, "no", ("a",), ("job",))
