"""What is asked of a platform, as values."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

__all__ = ["Call", "Pause", "Steps", "Upload"]


@dataclass(frozen=True)
class Upload:
    """A file that goes with a call, read from disk while it is sent.

    :param path: the file.
    :param name: the name that the platform shall know it by.
    """

    path: Path
    name: str


@dataclass(frozen=True)
class Call:
    """One request to Saagie, as a value.

    :param operation: the operation's name in ``graphql/*.graphql``.
    :param variables: its variables.
    :param upload: a file for the variable ``$file``.
    :param before_send: called before each time that it is sent, in good time and, by ``Session``, in the last moment
        once more; what it raises ends the call.
    """

    operation: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    upload: Upload | None = None
    before_send: Callable[[], None] | None = None


@dataclass(frozen=True)
class Pause:
    """A step that asks for time to pass, where a method waits for something.

    :param seconds: how much.
    """

    seconds: float


T = TypeVar("T")
Steps: TypeAlias = Generator[Call | Pause, dict[str, Any], T]
"""What a client method is made of: it yields calls, is sent their data, and returns its result. A session runs it."""
