"""Balances a case's account: the instances that the platform has against what the task's tries and strikes explain."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from airflow_provider_saagie.client.instances import JobInstance

ON_ITS_WAY = frozenset({"AWAITING", "REQUESTED", "QUEUED", "RUNNING", "KILLING"})


@dataclass(frozen=True)
class TaskEnd:
    """How a task instance ended, by Airflow.

    :param state: its state.
    :param instance_id: what it returned.
    :param tries: how many there were.
    """

    state: str | None
    instance_id: str | None
    tries: int


@dataclass
class Account:
    """What is wrong with a case; empty lists where nothing is.

    :param doubled: instances beyond the one that the task may have had, or at the same time as another.
    :param lost: the task did not end with a good instance.
    :param orphaned: instances that go on without a task.
    :param stopped: instances that were stopped, though nothing that stops one has happened.
    """

    doubled: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    orphaned: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)

    @property
    def findings(self) -> dict[str, list[str]]:
        """Those that are not empty."""
        return {name: found for name, found in vars(self).items() if found}


def balance(
    instances: Sequence[JobInstance],
    tasks: Sequence[TaskEnd],
    *,
    may_stop: int,
    clears: int = 0,
    runs_again: bool = False,
    may_fail: bool = False,
) -> Account:
    """Balance the account of one job.

    :param instances: all that the platform has of it.
    :param tasks: the tasks that run it; each ends well, since their job does.
    :param may_stop: how many stops are explained: by a SIGTERM to a task's process.
    :param clears: how often a user has cleared the task: each runs the job once more, and may stop what is on its way.
    :param runs_again: whether there was an instance before the clear, so that there has to be another.
    :param may_fail: whether a task may fail: one without a retry, or whose instance was deleted.
    """
    account = Account()
    good = {one.id for one in instances if one.status == "SUCCEEDED"}
    killed = [one.id for one in instances if one.status == "KILLED"]
    for task in tasks:
        if may_fail and task.state == "failed":
            continue
        if task.state != "success":
            account.lost.append(f"the task is {task.state} after {task.tries} tries")
        elif task.instance_id not in good:
            account.lost.append(f"the task returned {task.instance_id}, which did not succeed")
    if len({task.instance_id for task in tasks}) < len(tasks):
        account.lost.append("two tasks have the same instance")
    if len(good) > len(tasks) + clears:
        account.doubled.append(f"{len(good)} instances succeeded for {len(tasks)} tasks and {clears} clears")
    if len(tasks) == 1:
        account.doubled += _overlapping(instances)
    account.orphaned = [f"{one.id} is {one.status}" for one in instances if one.status in ON_ITS_WAY]
    if len(killed) > may_stop + clears:
        account.stopped.append(f"{len(killed)} were stopped, {may_stop + clears} stops are explained")
    if runs_again and len(tasks) == 1 and len(instances) <= clears:
        account.lost.append(f"{clears} clears, but only {len(instances)} instances")
    return account


def _overlapping(instances: Sequence[JobInstance]) -> list[str]:
    spans = sorted((_seconds(one.created_at) or 0.0, _seconds(one.end_time), one.id) for one in instances)
    found = []
    for (_, end, earlier), (start, _, later) in itertools.pairwise(spans):
        if end is None or start < end:
            found.append(f"{later} began {'' if end is None else f'{end - start:.1f} s '}before the end of {earlier}")
    return found


def _seconds(moment: str | None) -> float | None:
    return datetime.fromisoformat(moment).timestamp() if moment else None
