"""Counts requests and lists mutations, so that a client's books can be balanced from the platform's side."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any

_KEPT_MUTATIONS = 100_000
_HIDDEN = ("password", "secret", "token")
# What is kept of a mutation's variables, so that the list stays small whatever comes in.
_KEPT_CHARACTERS = 1_000
_KEPT_LEVELS = 10


@dataclass(slots=True)
class Mutation:
    """A mutation that came in.

    :param time: when, in ISO-8601.
    :param operation: the operation's name.
    :param fields: the fields at its top.
    :param variables: what came with it, without files and secrets.
    :param user_agent: who the client says it is.
    :param login: whose token it was.
    :param outcome: `done`, `errors`, or the name of the fault that kept it from being done.
    """

    time: str
    operation: str | None
    fields: tuple[str, ...]
    variables: dict[str, Any]
    user_agent: str
    login: str
    platform: int
    outcome: str = "received"


@dataclass
class Stats:
    """What has happened since the emulator was started."""

    requests: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    mutations: deque[Mutation] = field(default_factory=lambda: deque(maxlen=_KEPT_MUTATIONS))

    def summary(self) -> dict[str, Any]:
        """Put the counts together.

        :return: requests by the operation's name, and by each field at the top of the document; faults, connections.
        """
        return {
            "requests": dict(self.requests),
            "total": self.requests.total(),
            "operations": dict(self.fields),
            "faults": dict(self.faults),
            "connections": self.connections,
        }

    def list_mutations(self) -> list[dict[str, Any]]:
        """List the mutations.

        :return: the newest last.
        """
        return [asdict(one) for one in self.mutations]


def without_secrets(value: Any, name: str = "", level: int = 0) -> Any:
    """Copy variables for the list: files by their name, long texts by their beginning, secrets not at all.

    :param value: a variable.
    :param name: what it is called.
    :param level: how deep it lies.
    :return: the copy.
    """
    if any(word in name.lower() for word in _HIDDEN):
        return "***"
    if isinstance(value, dict | list) and level == _KEPT_LEVELS:
        return "…"
    if isinstance(value, dict):
        return {key: without_secrets(inner, str(key), level + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_secrets(inner, name, level + 1) for inner in value]
    if isinstance(value, str):
        return value if len(value) <= _KEPT_CHARACTERS else value[:_KEPT_CHARACTERS] + "…"
    return value if isinstance(value, int | float | None) else f"file {getattr(value, 'filename', '?')}"
