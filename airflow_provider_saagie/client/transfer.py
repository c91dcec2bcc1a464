"""Files between the platform and us, in pieces: nothing is ever whole in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_saagie.client.session import Session

__all__ = ["same_content"]

PIECE = 1024 * 1024


def same_content(path: Path, session: Session, download_url: str) -> bool:
    """Say whether a file equals the platform's copy, which is streamed through a hash.

    :param path: the file.
    :param session: whose platform has the copy.
    :param download_url: the copy's path there (``packageInfo.downloadUrl``).
    :raises SaagieError: where the copy can't be read.
    """
    return _digest(_pieces(path)) == _digest(session.download(download_url))


def _digest(pieces: Iterable[bytes]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
