"""What comes of a request, as values; ``core.py`` says what they mean.

::

    Answer    the platform answered in GraphQL, with data, errors or both
    Refused   it answered with another HTTP status, or with something that is no GraphQL
    Broken    there was no whole answer: a Fault says how far the request can have come
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = ["Answer", "Broken", "Fault", "NotGraphQL", "Outcome", "Refused", "answer_of", "is_not_graphql"]


class Fault(enum.Enum):
    """How a request broke. The value says whether it can have reached the platform."""

    UNKNOWN_NAME = (False, "its name could not be resolved")
    UNREACHABLE = (False, "the connection was refused or could not be made")
    PROXY = (False, "the proxy refused or could not be reached")
    TLS = (False, "its TLS certificate was not accepted")
    TLS_BROKEN = (True, "TLS failed, before or after the request was sent")
    CONNECT_TIMEOUT = (False, "no connection could be made in time")
    TIMEOUT = (True, "no answer came in time")
    LOST = (True, "the connection broke before the answer was whole")

    @property
    def may_have_arrived(self) -> bool:
        """Whether the platform can have seen the request."""
        return self.value[0]

    @property
    def words(self) -> str:
        """What happened, to stand behind "could not be asked: "."""
        return self.value[1]


@dataclass(frozen=True)
class Answer:
    """The platform answered in GraphQL."""

    data: dict[str, Any] | None
    errors: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Refused:
    """An answer that is not GraphQL's: another status, a redirect, a web page."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = field(default="", repr=False)


@dataclass(frozen=True)
class Broken:
    """There was no whole answer.

    :param fault: how it broke.
    :param detail: the library's words, without secrets.
    """

    fault: Fault
    detail: str = ""


def answer_of(data: Any, errors: Any) -> Answer:
    """Take an answer as it came, of whatever shape: what stands for ``errors`` and is no list counts as one error."""
    several = errors if isinstance(errors, list) else [errors] if errors else []
    return Answer(data, tuple(several))


Outcome: TypeAlias = Answer | Refused | Broken


class NotGraphQL(Exception):
    """Carries a refusal out of gql's transport, which would read the body for its own purposes.

    :param refused: the answer.
    """

    def __init__(self, refused: Refused) -> None:
        super().__init__(f"HTTP {refused.status}")
        self.refused = refused


def is_not_graphql(status: int, headers: Mapping[str, str]) -> bool:
    """Say whether an answer's meaning is in its status, or whether its body is no JSON."""
    return status != 200 or "json" not in headers.get("Content-Type", "json")
