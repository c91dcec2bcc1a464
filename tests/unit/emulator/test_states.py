"""Test the emulator's table of states."""

import importlib.util
import itertools

from graphql import GraphQLEnumType
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_saagie.emulator.states import ENDS, SELECTORS, TRANSITIONS, Status, simulated_statuses
from airflow_provider_saagie.emulator.web.control import REASONS
from airflow_provider_saagie.emulator.web.graphql import projects_api
from tests.support.pages import DOCS


def test_tables_cover_the_enums_of_the_schema() -> None:
    types = projects_api().schema.type_map
    enums = {name: set(kind.values) for name, kind in types.items() if isinstance(kind, GraphQLEnumType)}
    assert set(TRANSITIONS) == set(Status) == enums["InstanceStatus"]
    assert set(SELECTORS) == enums["JobInstanceSelector"]
    assert set(REASONS) == enums["StatusReason"]


def test_unfinished_instances_can_end_and_be_stopped() -> None:
    for start in set(Status) - ENDS:
        reached, todo = set(), {start}
        while todo:
            status = todo.pop()
            reached.add(status)
            todo |= TRANSITIONS[status].keys() - reached
        assert reached & ENDS, start
        assert Status.KILLING in {start, *TRANSITIONS[start]}, start


@given(st.integers(100, 10_000_000), st.integers(-20_000_000, 20_000_000))
def test_simulated_life_keeps_to_the_table(duration: int, after: int) -> None:
    """A clock that was set back to before the instance's start makes no difference."""
    history = [status for status, _ in simulated_statuses(1_000, duration, 1_000 + after)]
    assert history[0] is Status.AWAITING
    assert all(later in TRANSITIONS[earlier] for earlier, later in itertools.pairwise(history))
    assert (history[-1] in ENDS) is (after >= duration)


def test_docs_picture_equals_the_table() -> None:
    found = importlib.util.spec_from_file_location("draw_states", DOCS / "draw_states.py")
    assert found is not None
    assert found.loader is not None
    drawing = importlib.util.module_from_spec(found)
    found.loader.exec_module(drawing)
    assert set(drawing.PLACES) == set(Status)
    assert drawing.PICTURE.read_text(encoding="utf-8") == drawing.draw(), "run python docs/draw_states.py"
