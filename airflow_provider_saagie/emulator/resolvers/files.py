"""Files of versions that went, or never came to be."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_saagie.emulator import artifacts
from airflow_provider_saagie.emulator.store import versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_saagie.emulator.resolvers.context import Context


@contextmanager
def tidied(context: Context, keys: Iterable[str | None]) -> Iterator[None]:
    """Delete stored files after a change, however it ended, unless a version needs them.

    A crash in between leaves them to the next start, which sweeps.

    :param context: the request's context.
    :param keys: the files' keys; None stands for no file.
    :return: nothing; the change is made inside the block.
    """
    named = {key for key in keys if key}
    try:
        yield
    finally:
        if named:
            artifacts.discard(context.settings.data, named - versions.used_artifacts(context.database))
