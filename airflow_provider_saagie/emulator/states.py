"""The life of a job instance, as one table."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Every status that the published schema knows."""

    AWAITING = "AWAITING"
    REQUESTED = "REQUESTED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    KILLING = "KILLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    KILLED = "KILLED"
    ERROR = "ERROR"
    SKIPPED = "SKIPPED"
    UNKNOWN = "UNKNOWN"


_S = Status

# From each status, where the emulator may go next on its own. Ends lead nowhere.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    _S.AWAITING: frozenset({_S.REQUESTED, _S.KILLING, _S.SKIPPED}),
    _S.REQUESTED: frozenset({_S.QUEUED, _S.KILLING, _S.FAILED, _S.ERROR}),
    _S.QUEUED: frozenset({_S.RUNNING, _S.KILLING, _S.FAILED, _S.ERROR}),
    _S.RUNNING: frozenset({_S.SUCCEEDED, _S.FAILED, _S.KILLING, _S.ERROR, _S.UNKNOWN}),
    _S.KILLING: frozenset({_S.KILLED, _S.FAILED}),
    _S.UNKNOWN: frozenset({_S.RUNNING, _S.SUCCEEDED, _S.FAILED, _S.KILLING, _S.ERROR}),
    _S.SUCCEEDED: frozenset(),
    _S.FAILED: frozenset(),
    _S.KILLED: frozenset(),
    _S.ERROR: frozenset(),
    _S.SKIPPED: frozenset(),
}

ENDS = frozenset(status for status, following in TRANSITIONS.items() if not following)

# What each selector of the deletions and counts means. None stands for every end.
SELECTORS: dict[str, frozenset[Status] | None] = {
    "ALL": None,
    "SUCCEEDED": frozenset({_S.SUCCEEDED}),
    "FAILED": frozenset({_S.FAILED, _S.ERROR}),
    "STOPPED": frozenset({_S.KILLED}),
    "UNKNOWN": frozenset({_S.UNKNOWN}),
}

# A simulated instance passes through these, each from that share of its life on.
SIMULATED_LIFE: tuple[tuple[float, Status], ...] = (
    (0.0, _S.REQUESTED),
    (0.02, _S.QUEUED),
    (0.05, _S.RUNNING),
    (1.0, _S.SUCCEEDED),
)


def may_follow(before: Status, after: Status) -> bool:
    """Tell whether an instance may go from one status to another.

    :param before: the status it has.
    :param after: the status it would get.
    :return: True where the table allows it.
    """
    return after in TRANSITIONS[before]


def simulated_statuses(started_at: int, duration: int, moment: int) -> list[tuple[Status, int]]:
    """Work out what a simulated instance has been through, from the time alone.

    :param started_at: when it was asked for, in milliseconds.
    :param duration: how long its life is, in milliseconds.
    :param moment: the time to look at, in milliseconds.
    :return: each status with the millisecond since when it holds, oldest first.
    """
    steps = [(status, started_at + round(share * duration)) for share, status in SIMULATED_LIFE]
    return [(status, since) for status, since in steps if since <= moment]
