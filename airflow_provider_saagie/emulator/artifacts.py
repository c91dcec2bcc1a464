"""The files of job versions: kept in the data folder under keys of our own, so that no name from outside is a path."""

from __future__ import annotations

import os
import re
import uuid
from typing import IO, TYPE_CHECKING

from airflow_provider_saagie.emulator.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_CHUNK = 1 << 20


def safe_name(name: str | None) -> str:
    """Make a file name out of what an upload calls itself.

    :param name: anything.
    :return: letters, digits, dots, dashes and underscores; no leading dot or dash, at most 200 characters.
    """
    last = re.split(r"[/\\]", name or "")[-1]
    return re.sub(r"[^A-Za-z0-9._-]", "_", last).lstrip(".-")[-200:] or "artifact"


def keep(folder: Path, content: IO[bytes], limit: int) -> str:
    """Store an upload; it is on disk when this returns.

    :param folder: the data folder.
    :param content: an open file, read from its beginning.
    :param limit: the largest size that is taken, in bytes.
    :return: the key under which it is kept.
    :raises InvalidError: where it is larger.
    """
    key = uuid.uuid4().hex
    target = path_of(folder, key)
    target.parent.mkdir(exist_ok=True)
    content.seek(0)
    size = 0
    try:
        with target.open("xb") as file:
            while chunk := content.read(_CHUNK):
                size += len(chunk)
                if size > limit:
                    raise InvalidError(f"The file is larger than {limit} bytes")
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(target.parent)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return key


def path_of(folder: Path, key: str) -> Path:
    """Tell where a stored file lies.

    :param folder: the data folder.
    :param key: what `keep` returned.
    :return: its path.
    """
    return folder / "artifacts" / key


def discard(folder: Path, keys: Iterable[str]) -> None:
    """Delete stored files; those that are gone already don't matter.

    :param folder: the data folder.
    :param keys: what `keep` returned.
    """
    for key in keys:
        path_of(folder, key).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """See to it that a new file's name is on disk too, not only its content."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path, used: set[str]) -> None:
    """Delete stored files that no version needs.

    :param folder: the data folder.
    :param used: the keys that are needed.
    """
    stored = folder / "artifacts"
    for file in stored.iterdir() if stored.exists() else ():
        if file.name not in used:
            file.unlink(missing_ok=True)
