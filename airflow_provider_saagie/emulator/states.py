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

# From each status, where the emulator may go next on its own, and why it would. Ends lead nowhere. ERROR, SKIPPED and
# UNKNOWN come about by hand only (`POST /emulator/instances/ID`), which may set any status.
TRANSITIONS: dict[Status, dict[Status, str]] = {
    _S.AWAITING: {_S.REQUESTED: "taken up", _S.KILLING: "stopped", _S.FAILED: "emulator ended"},
    _S.REQUESTED: {_S.QUEUED: "queued", _S.KILLING: "stopped", _S.FAILED: "emulator ended"},
    _S.QUEUED: {_S.RUNNING: "its turn", _S.KILLING: "stopped", _S.FAILED: "can't be run, or emulator ended"},
    _S.RUNNING: {_S.SUCCEEDED: "exit code 0", _S.KILLING: "stopped", _S.FAILED: "any other end"},
    _S.KILLING: {_S.KILLED: "it is gone"},
    _S.UNKNOWN: {_S.KILLING: "stopped", _S.FAILED: "emulator ended"},
    _S.SUCCEEDED: {},
    _S.FAILED: {},
    _S.KILLED: {},
    _S.ERROR: {},
    _S.SKIPPED: {},
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
    (0.0, _S.AWAITING),
    (0.01, _S.REQUESTED),
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
    # The first holds in any case: a clock that was set back must not leave an instance without a status.
    return [(status, since) for status, since in steps if since <= max(moment, started_at)]
