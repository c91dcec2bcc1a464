"""Clients of an emulator, and operations of the client run without any platform."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from airflow_provider_saagie.client import core
from airflow_provider_saagie.client.calls import Call, Pause, Steps
from airflow_provider_saagie.client.saagie import SaagieClient
from airflow_provider_saagie.client.settings import Settings, read_settings
from airflow_provider_saagie.emulator.testing import Emulator
from airflow_provider_saagie.exceptions import SaagieError

T = TypeVar("T")


def settings_for(emulator: Emulator, **changes: Any) -> Settings:
    """Return the settings of a connection to the emulator.

    :param changes: fields of the connection that differ; `extra` is merged.
    """
    given: dict[str, Any] = {"host": emulator.url, "login": emulator.login, "password": emulator.password}
    extra = {"realm": emulator.realm, "platform_id": emulator.platform, **changes.pop("extra", {})}
    return read_settings(**{**given, **changes}, extra=extra)


@contextmanager
def client_for(emulator: Emulator, **changes: Any) -> Iterator[SaagieClient]:
    """Open a client of the emulator; the changes are those of `settings_for`."""
    with SaagieClient(settings_for(emulator, **changes)) as client:
        yield client


def drive(steps: Steps[T], answer: Callable[[Call | Pause], dict[str, Any]]) -> T:
    """Run an operation as a session does, without any session.

    :param answer: returns the data of each call, or raises a `SaagieError` for the operation; for a pause it returns an
        empty dict, once the time has passed.
    """
    try:
        step = next(steps)
        while True:
            try:
                data = answer(step)
            except SaagieError as error:
                step = steps.throw(error)
            else:
                step = core.advance(steps, data, after=step)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()
