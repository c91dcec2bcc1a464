"""What a task remembers from one try to the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from airflow_provider_saagie import airflow_compat
from airflow_provider_saagie.operators import tries


@dataclass
class Store:
    """Keeps values as Airflow's task state store does."""

    kept: dict[str, Any] = field(default_factory=dict)

    def get(self, key: str, default: Any = None) -> Any:
        return self.kept.get(key, default)

    def set(self, key: str, value: Any) -> None:
        self.kept[key] = value

    def delete(self, key: str) -> None:
        self.kept.pop(key, None)


def context(store: Store | None, max_tries: int) -> Any:
    known: dict[str, Any] = {"ti": SimpleNamespace(max_tries=max_tries)}
    return known if store is None else {**known, "task_state_store": store}


def test_a_retry_recalls_what_was_kept_and_a_clear_does_not() -> None:
    store = Store()
    tries.remember(context(store, 1), "key", {"job_id": "one", "version": 2})
    assert tries.recall(context(store, 1), "key") == {"job_id": "one", "version": 2}
    assert tries.recall(context(store, 3), "key") is None
    assert tries.recall(context(store, 1), "another") is None
    tries.forget(context(store, 1), "key")
    assert tries.recall(context(store, 1), "key") is None


def test_before_airflow_3_3_nothing_is_recalled() -> None:
    without = context(None, 1)
    tries.remember(without, "key", {"job_id": "one"})
    tries.forget(without, "key")
    assert tries.recall(without, "key") is None


def test_an_event_of_another_try_is_told_from_one_of_this() -> None:
    """Airflow 3.0 resumes a retry with what the try before was waiting for."""
    this: Any = {"ti": SimpleNamespace(try_number=2)}
    assert airflow_compat.is_another_try(this, 1)
    assert not airflow_compat.is_another_try(this, 2)
    assert not airflow_compat.is_another_try(this, None), "as in dag.test()"
