"""Faults that can be switched on: which operation, which of its requests, and what goes wrong."""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from airflow_provider_saagie.emulator.errors import InvalidError

# What can go wrong, and what each needs beside `operation`, `occurrence` and `times`: the default, or None for none.
KINDS: dict[str, dict[str, Any]] = {
    "drop": {},  # the work is done, then the connection is closed without an answer
    "refuse": {},  # the connection is closed, nothing is done
    "cut": {},  # the work is done, half of the answer is sent
    "delay": {"seconds": 1.0, "when": "before"},  # before or after the work
    "status": {"status": 503, "retry_after": None, "body": ""},  # nothing is done
    "error": {"message": "Something went wrong", "classification": "INTERNAL_ERROR"},  # nothing is done
    "expire": {},  # the token is good no more: 401
    "garbage": {"body": "<html><body>Bad gateway</body></html>"},  # 200, but no JSON; nothing is done
    "redirect": {"location": "http://127.0.0.1:9/", "status": 307},  # nothing is done
    "outage": {"seconds": 10.0},  # from now on, every request of every operation is refused
}
ANY = "*"
# Fields that are whole numbers, with the least and the most that each can be.
_WHOLE = {"occurrence": (1, 1_000_000_000), "times": (0, 1_000_000_000), "status": (200, 599)}
_HEADERS = ("retry_after", "location")
_LONGEST = 1_000_000  # seconds
_AMOUNT = f"a number from 0 to {_LONGEST}"
_COMMON = {"operation": ANY, "occurrence": 1, "times": 1, "what": ""}


@dataclass(slots=True)
class Fault:
    """A fault that is switched on.

    :param operation: a field at the top of a document, an operation's name, `login`, `artifact`, or `*` for any.
    :param what: one of `KINDS`.
    :param occurrence: which matching request it strikes first, counted from when it was switched on.
    :param times: how many it strikes; 0 for all from then on.
    :param options: what its kind needs.
    """

    id: int
    operation: str
    what: str
    occurrence: int
    times: int
    options: dict[str, Any]
    seen: int = 0
    struck: int = 0
    until: float | None = field(default=None, repr=False)

    def strikes(self, names: set[str]) -> bool:
        """Count a request, and tell whether it is struck.

        :param names: what the request is called.
        :return: True where it is.
        """
        if self.until is not None:
            hit = time.monotonic() < self.until
        elif self.operation == ANY or self.operation in names:
            self.seen += 1
            hit = self.seen >= self.occurrence and (self.times == 0 or self.seen < self.occurrence + self.times)
        else:
            hit = False
        self.struck += hit
        return hit

    def is_spent(self) -> bool:
        """Tell whether it is over: it will strike no more."""
        if self.until is not None:
            return time.monotonic() >= self.until
        return self.times > 0 and self.seen >= self.occurrence + self.times - 1


class Faults:
    """All faults that are switched on."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._ids = itertools.count(1)

    def add(self, wish: dict[str, Any]) -> Fault:
        """Switch a fault on.

        :param wish: `what`, and whatever else of its fields is not to be the default.
        :return: the fault.
        :raises InvalidError: where there is no such fault, or a field is unknown or of the wrong type.
        """
        what = wish.get("what")
        if not isinstance(what, str) or what not in KINDS:
            raise InvalidError(f"'what' has to be one of {', '.join(KINDS)}")
        known = _COMMON | KINDS[what]
        for name, value in wish.items():
            if name not in known:
                raise InvalidError(f"A {what} fault has no {name!r}; it has {', '.join(known)}")
            _check(name, value, known[name])
        if wish.get("operation") == "":
            raise InvalidError(f"'operation' has to name one, or be {ANY} for any")
        options = {name: wish.get(name, default) for name, default in KINDS[what].items()}
        if options.get("when", "before") not in ("before", "after"):
            raise InvalidError("'when' has to be before or after")
        fault = Fault(
            next(self._ids), wish.get("operation", ANY), what, wish.get("occurrence", 1), wish.get("times", 1), options
        )
        if what == "outage":
            fault.until = time.monotonic() + options["seconds"]
        self._faults.append(fault)
        return fault

    def take(self, names: set[str]) -> Fault | None:
        """Find the fault that strikes a request.

        :param names: what the request is called.
        :return: the first that strikes it, or None. Every fault counts the request.
        """
        return next((fault for fault in [one for one in self._faults if one.strikes(names)]), None)

    def list_all(self) -> list[dict[str, Any]]:
        """List the faults.

        :return: each with how many requests it has seen and struck, and whether it is spent.
        """
        return [
            {**{name: value for name, value in asdict(one).items() if name != "until"}, "spent": one.is_spent()}
            for one in self._faults
        ]

    def remove(self, fault_id: int) -> bool:
        """Switch one fault off.

        :param fault_id: its id, as it is listed.
        :return: False where there is no such fault.
        """
        before = len(self._faults)
        self._faults = [one for one in self._faults if one.id != fault_id]
        return len(self._faults) < before

    def clear(self) -> None:
        """Switch all faults off."""
        self._faults.clear()


def _check(name: str, value: Any, default: Any) -> None:
    """Check a field by its name, else by the type of its default; what comes of it has to be a lawful HTTP answer."""
    if name in _WHOLE:
        lowest, highest = _WHOLE[name]
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise InvalidError(f"{name!r} has to be a whole number from {lowest} to {highest}")
    elif name in _HEADERS and isinstance(value, str):
        if not re.fullmatch("[ -~]*", value):
            raise InvalidError(f"{name!r} is sent as a header: it has to be one line of ASCII")
    elif name == "retry_after":
        if value is not None and not _is_amount(value):
            raise InvalidError(f"{name!r} has to be null, a date as a string, or {_AMOUNT}")
    elif isinstance(default, float):
        if not _is_amount(value):
            raise InvalidError(f"{name!r} has to be {_AMOUNT}")
    elif not isinstance(value, str):
        raise InvalidError(f"{name!r} has to be a string")


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LONGEST
