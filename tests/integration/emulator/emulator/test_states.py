from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path

from graphql import GraphQLEnumType
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_saagie.emulator.states import ENDS, SELECTORS, TRANSITIONS, Status, simulated_statuses
from airflow_provider_saagie.emulator.web.control import REASONS
from airflow_provider_saagie.emulator.web.graphql import projects_api


def enum_values(name: str) -> set[str]:
    enum = projects_api().schema.type_map[name]
    assert isinstance(enum, GraphQLEnumType)
    return set(enum.values)


def test_the_table_has_a_row_for_every_status_of_the_schema() -> None:
    assert set(TRANSITIONS) == set(Status) == enum_values("InstanceStatus")


def test_the_selectors_and_reasons_are_those_of_the_schema() -> None:
    assert set(SELECTORS) == enum_values("JobInstanceSelector")
    assert set(REASONS) == enum_values("StatusReason")


def test_every_status_on_the_way_can_reach_an_end() -> None:
    for start in set(Status) - ENDS:
        reached, todo = set(), {start}
        while todo:
            one = todo.pop()
            reached.add(one)
            todo |= TRANSITIONS[one].keys() - reached
        assert reached & ENDS, start


def test_whatever_is_on_its_way_can_be_stopped() -> None:
    for status in set(Status) - ENDS - {Status.KILLING}:
        assert Status.KILLING in TRANSITIONS[status]


@given(st.integers(100, 10_000_000), st.integers(-20_000_000, 20_000_000))
def test_a_simulated_life_only_goes_where_the_table_lets_it(duration: int, after: int) -> None:
    """Also where the clock was set back to before it began."""
    history = [status for status, _ in simulated_statuses(1_000, duration, 1_000 + after)]
    assert history[0] is Status.AWAITING
    assert all(later in TRANSITIONS[earlier] for earlier, later in itertools.pairwise(history))
    assert (history[-1] in ENDS) is (after >= duration)


def test_the_picture_in_the_docs_is_drawn_from_the_table() -> None:
    script = Path(__file__).parents[4] / "docs" / "draw_states.py"
    found = importlib.util.spec_from_file_location("draw_states", script)
    assert found is not None
    assert found.loader is not None
    drawing = importlib.util.module_from_spec(found)
    found.loader.exec_module(drawing)
    assert set(drawing.PLACES) == set(Status)
    assert drawing.PICTURE.read_text(encoding="utf-8") == drawing.draw(), "run python docs/draw_states.py"
