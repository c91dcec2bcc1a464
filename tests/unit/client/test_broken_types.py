"""A field of any kind, nullable or not, may come as anything: only our own errors come out of any call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_saagie.client import core, definitions, running
from airflow_provider_saagie.client.calls import Pause
from airflow_provider_saagie.exceptions import SaagieError
from tests.unit.client.test_broken_answers import EVERY_CALL, EXAMPLES, ID, Platform, anything, drive, schemas

if TYPE_CHECKING:
    from graphql import GraphQLSchema, SelectionSetNode

__all__ = ["schemas"]  # a fixture

CALLS = {**EVERY_CALL, "run and tell": lambda: running.run(ID)}


class Careless(Platform):
    """Answers by the schema, but for a field here and there, which is of another kind: a list for an object, say."""

    def value(self, kind: Any, selection: SelectionSetNode | None) -> Any:
        if self.data.draw(st.integers(0, 11)) == 0:
            return self.data.draw(anything)
        return super().value(kind, selection)


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=2 * EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_field_of_another_kind_ends_in_our_own_errors(
    schemas: dict[bool, GraphQLSchema],
    name: str,
    data: st.DataObject,
) -> None:
    try:
        drive(CALLS[name](), Careless(schemas, data, "nulls"))
    except SaagieError as error:
        assert str(error)  # noqa: PT017 - that none but ours comes out is the test


@settings(max_examples=10 * EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(answers=st.lists(anything, min_size=1, max_size=6))
def test_waiting_for_an_end_survives_whatever_is_answered(answers: list[Any]) -> None:
    clock, supply = [0.0], iter(answers)
    steps = running.run_with_callback(ID, 1, 30, now=lambda: clock[0])
    started = {"runJob": {"id": ID, "history": {"currentStatus": {"status": "REQUESTED"}}}}
    try:
        step = core.advance(steps, started, after=next(steps))
        while True:
            if isinstance(step, Pause):
                clock[0] += step.seconds
                step = core.advance(steps, {}, after=step)
            else:
                step = core.advance(steps, {"jobInstance": next(supply, None)}, after=step)
    except StopIteration as end:
        assert end.value[1] == ID  # noqa: PT017 - how steps give their result
    except SaagieError as error:
        assert str(error)  # noqa: PT017 - as above


@settings(max_examples=4 * EXAMPLES, deadline=None)
@given(answer=anything)
def test_an_answer_of_the_ai_may_be_anything(answer: Any) -> None:
    operation = "editJobWithAiGeneratedDescription"  # the published schema doesn't have it
    try:
        result = drive(definitions.generate_description_by_ai(ID), lambda _: {operation: answer})
    except SaagieError as error:
        assert answer is None or str(error)  # noqa: PT017 - as above
    else:
        assert result == {operation: answer}
