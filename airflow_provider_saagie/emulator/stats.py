"""Counts requests and lists mutations, so that a client's books can be balanced from the platform's side."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any

_KEPT_MUTATIONS = 100_000
_HIDDEN = ("password", "secret", "token")


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


def without_secrets(value: Any, name: str = "") -> Any:
    """Copy variables for the list: files by their name, secrets not at all.

    :param value: a variable.
    :param name: what it is called.
    :return: the copy.
    """
    if any(word in name.lower() for word in _HIDDEN):
        return "***"
    if isinstance(value, dict):
        return {key: without_secrets(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_secrets(inner, name) for inner in value]
    return value if isinstance(value, str | int | float | None) else f"file {getattr(value, 'filename', '?')}"
