"""The page for faults and figures: what goes wrong on purpose, and what has come in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_provider_saagie.emulator.faults import ANY, KINDS
from airflow_provider_saagie.emulator.web.rendering import page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from airflow_provider_saagie.emulator.app import Parts
    from airflow_provider_saagie.emulator.stats import Mutation

_SHOWN_MUTATIONS = 100
_SHOWN_COUNTS = 20
_SHOWN_CHARACTERS = 200

# What each kind of fault does, for the one who chooses.
TEXTS = {
    "drop": "the work is done, the answer is lost",
    "refuse": "the connection is closed, nothing is done",
    "cut": "the work is done, half of the answer comes",
    "delay": "the answer comes late",
    "status": "an HTTP status, nothing is done",
    "error": "a GraphQL error, nothing is done",
    "expire": "the token is good no more",
    "garbage": "something that is no JSON",
    "redirect": "a redirect to elsewhere",
    "outage": "no request of any kind is answered for a while",
}
_LABELS = {
    "seconds": "Seconds",
    "when": "Before or after the work",
    "status": "HTTP status",
    "retry_after": "Retry-After, in seconds",
    "body": "Body",
    "message": "Message",
    "classification": "Classification",
    "location": "Location",
}
_CHOICES = {"when": ("before", "after")}
_NUMBERS = ("retry_after",)  # numbers without a default
_COMMON_OPERATIONS = (ANY, "login", "artifact", "runJob", "stopJobInstance", "jobInstance", "createJob", "filteredLogs")


@dataclass(frozen=True, slots=True)
class Option:
    """A field of the form."""

    name: str
    label: str
    type: str
    default: Any
    needed: bool
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault, as the form offers it."""

    name: str
    text: str
    options: tuple[Option, ...]


async def figures_page(request: Request) -> Response:
    """Show faults, counts and mutations; in the loop that counts them, so that nothing changes meanwhile."""
    parts: Parts = request.app.state.parts
    stats = parts.stats.summary()
    newest = islice(reversed(parts.stats.mutations), _SHOWN_MUTATIONS)
    return page(
        request,
        "control.html",
        control=True,
        kinds=kinds(),
        operations=list(dict.fromkeys([*_COMMON_OPERATIONS, *stats["operations"]])),
        faults=[_described(fault) for fault in parts.faults.list_all()],
        stats=stats,
        counts=sorted(stats["requests"].items(), key=lambda one: -one[1])[:_SHOWN_COUNTS],
        mutations=len(parts.stats.mutations),
        requests=[_listed(one) for one in newest],
    )


def kinds() -> list[Kind]:
    """List what can go wrong.

    :return: each kind with the fields of its form.
    """
    return [
        Kind(what, TEXTS.get(what, ""), tuple(_option(name, default) for name, default in options.items()))
        for what, options in KINDS.items()
    ]


def _option(name: str, default: Any) -> Option:
    is_number = isinstance(default, int | float) or name in _NUMBERS
    return Option(
        name=name,
        label=_LABELS.get(name, name),
        type="number" if is_number else "text",
        default="" if default is None else default,
        needed=default not in (None, ""),
        choices=_CHOICES.get(name, ()),
    )


def _described(fault: dict[str, Any]) -> dict[str, Any]:
    first, times = fault["occurrence"], fault["times"]
    options = {name: value for name, value in fault["options"].items() if value not in (None, "")}
    if fault["what"] == "outage":
        strikes = f"everything for {options.pop('seconds'):g} s"
    elif times == 0:
        strikes = f"all from request {first} on"
    else:
        strikes = f"request {first}" if times == 1 else f"requests {first} to {first + times - 1}"
    how = ", ".join(f"{name} {value}" for name, value in options.items())
    return {**fault, "strikes": strikes, "how": how}


def _listed(mutation: Mutation) -> dict[str, Any]:
    text = json.dumps(mutation.variables, ensure_ascii=False, default=str)
    return {
        "time": mutation.time.replace("T", " ").removesuffix("Z"),
        "fields": ", ".join(mutation.fields),
        "outcome": mutation.outcome,
        "platform": mutation.platform,
        "variables": text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…",
        "user_agent": mutation.user_agent,
    }
