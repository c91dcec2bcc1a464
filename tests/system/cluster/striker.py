"""Runs the cases, many at a time, strikes each once, and balances its account when it is over."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psutil
import requests

from airflow_provider_saagie.exceptions import SaagieError
from scripts import cluster_layout, processes
from scripts.processes import StackError
from tests.system.cluster import guests
from tests.system.cluster.accounts import TaskEnd, balance
from tests.system.cluster.plan import ONCE, Case
from tests.system.cluster.scene import ANSWER_DELAY, Scene, Seen, moment, now

T = TypeVar("T")

TICK = 0.05  # seconds
COLLECT_EVERY = 0.4  # seconds
LONGEST_FREEZE = 90.0  # seconds; where no retry begins, such as at the end of a task
LONGEST_CASE = 420.0  # seconds; more where clocks differ: Airflow takes a worker's for when to retry
LONGEST_CLEAR = 150.0  # seconds; on a busy machine Airflow takes half a minute
LONGEST_ABSENCE = 120.0  # seconds for which Saagie or Airflow may refuse to let a case begin
AFTER_THE_END = 3.0  # seconds after a run's end before its account is balanced
AFTER_A_WAKING = 15.0  # the same, where a process without a retry was woken: Airflow has to tell it to end first
REST_OF_MACHINES = 6.0  # seconds between two strikes at machines
OVER = frozenset({"success", "failed", "upstream_failed", "skipped", "removed"})
MACHINES = {"triggerer": cluster_layout.TRIGGERERS, "worker": cluster_layout.WORKERS, "saagie": ("saagie", "saagie")}


@dataclass
class Record:
    """What happened to a case."""

    case: Case
    window: str = "not struck"
    struck_at: float | None = None
    touched: list[str] = field(default_factory=list)
    tries: int = 0
    end: str = ""
    seconds: float = 0.0
    findings: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    instances: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Frozen:
    """Processes that were stopped, and when they go on."""

    pids: list[int]
    at: float
    until: float | None
    after_try: int = 0
    hold: float = 0.0
    retry_seen: float | None = None


class Going:
    """A case under way."""

    def __init__(self, case: Case, job_id: str) -> None:
        self.case = case
        self.job_id = job_id
        self.record = Record(case)
        self.began = now()
        self.aimed_at: float | None = None
        self.frozen: Frozen | None = None
        self.over_since: float | None = None
        self.cleared_at: float | None = None
        self.clearing: threading.Thread | None = None
        self.was_cleared = False
        self.guest_acted = False


class Striker:
    """Runs cases.

    :param scene: the cluster.
    :param at_once: how many cases go on at a time.
    :param say: gets a line now and then.
    :param longest: seconds that a case may take.
    """

    def __init__(
        self, scene: Scene, at_once: int, say: Callable[[str], None], *, longest: float = LONGEST_CASE
    ) -> None:
        self._scene = scene
        self._at_once = at_once
        self._say = say
        self._longest = longest
        self._going: list[Going] = []
        self._waking: list[threading.Timer] = []
        self._machines_rest_until = 0.0
        self._collected_at = 0.0
        self.records: list[Record] = []

    def run(self, cases: Iterable[Case], kills: int) -> list[Record]:
        """Run cases until so many have been struck.

        :return: what happened to each, also to those that ended before they could be struck.
        """
        coming = iter(cases)
        told = time.monotonic()
        while True:
            expected = sum(record.struck_at is not None for record in self.records) + len(self._going)
            if len(self._going) < self._at_once and expected < kills and (case := next(coming, None)):
                self._going.append(self._begin(case))
            if not self._going:
                break
            self._look()
            if time.monotonic() - told > 30:
                told = time.monotonic()
                self._say(self._progress())
            time.sleep(TICK)
        for waking in self._waking:
            waking.join()
        return self.records

    def _begin(self, case: Case) -> Going:
        job_id = self._insist(lambda: self._scene.new_job(f"{case.run_id} {now()}"))
        if case.strike.point:
            self._scene.ask_for(case.run_id, case.map_index, case.strike.point, case.strike.how)
        going = Going(case, job_id)
        self._insist(lambda: self._scene.begin(case.dag_id, case.run_id, job_id))
        return going

    def _insist(self, do: Callable[[], T]) -> T:
        """Do something that fails where Saagie or Airflow is away at the moment, or too busy: then once more."""
        deadline = time.monotonic() + LONGEST_ABSENCE
        while True:
            try:
                return do()
            except (SaagieError, requests.RequestException, StackError) as error:
                self._scene.stack.kept.check()
                if time.monotonic() > deadline:
                    raise
                self._say(f"once more: {error}")
                time.sleep(1)

    def _progress(self) -> str:
        struck = sum(record.struck_at is not None for record in self.records)
        bad = sum(bool(record.findings) for record in self.records)
        return f"{struck} struck, {len(self.records)} over, {len(self._going)} under way, {bad} with findings"

    def _look(self) -> None:
        self._scene.stack.kept.check()
        if now() - self._collected_at > COLLECT_EVERY:
            self._collected_at = now()
            self._scene.collect()
            self._scene.delay_answers()
        seen: dict[str, list[Seen]] = {}
        for one in self._scene.tasks([going.case.run_id for going in self._going]):
            seen.setdefault(one.run_id, []).append(one)
        for going in list(self._going):
            tasks = seen.get(going.case.run_id, [])
            mine = next((one for one in tasks if one.map_index == going.case.map_index), None)
            if mine is not None:
                self._step(going, mine, tasks, seen)
            if now() - going.began > self._longest:
                going.record.findings["lost"] = [f"not over after {self._longest:.0f} s: {mine}"]
                self._end(going, tasks)

    def _step(self, going: Going, mine: Seen, tasks: list[Seen], everything: dict[str, list[Seen]]) -> None:
        record = going.record
        if record.struck_at is None:
            if going.case.strike.point:
                self._note_own_strike(going)
            elif mine.run_state not in OVER:
                self._aim(going, mine, everything)
        if going.frozen and self._wakes(going.frozen, mine):
            send_signal(going.frozen.pids, signal.SIGCONT)
            record.notes.append(f"woken {now() - going.frozen.at:.1f} s later, try {mine.try_number} {mine.state}")
            going.frozen = None
            going.over_since = None
        self._clear(going, mine)
        if going.case.guest and not going.guest_acted and record.struck_at is not None:
            self._let_guest_act(going, mine)
        if going.clearing is not None and not going.clearing.is_alive():
            going.clearing = None
            going.over_since = None  # what was seen until now may be from before it
        elif mine.run_state in OVER and not going.frozen and not going.clearing:
            going.over_since = going.over_since or now()
            if now() - going.over_since > (AFTER_A_WAKING if going.case.kind in ONCE else AFTER_THE_END):
                self._end(going, tasks)

    def _let_guest_act(self, going: Going, mine: Seen) -> None:
        with suppress(SaagieError, requests.RequestException):  # Saagie is away at the moment: later
            going.guest_acted = guests.act(self._scene, str(going.case.guest), going.job_id)
            if going.guest_acted:
                seen = f"{self._window(going, mine)}, try {mine.try_number} {mine.state}"
                going.record.notes.append(
                    f"{going.case.guest} {now() - (going.record.struck_at or 0):.1f} s later: {seen}"
                )

    def _clear(self, going: Going, mine: Seen) -> None:
        due = going.case.clear_at
        if going.case.clears_after is not None and going.record.struck_at is not None:
            due = going.record.struck_at + going.case.clears_after - going.began
        if due is None or going.cleared_at or now() < going.began + due or mine.run_state in OVER:
            return
        going.cleared_at = now()
        # Not in our own loop: on a busy machine Airflow takes half a minute for it.
        going.clearing = threading.Thread(target=self._clear_now, args=[going], daemon=True)
        going.clearing.start()
        going.record.notes.append(f"cleared after {now() - going.began:.1f} s: {self._window(going, mine)}")

    def _clear_now(self, going: Going) -> None:
        airflow = self._scene.stack.airflow
        try:
            if going.case.clears_run:
                airflow.clear_run(going.case.dag_id, going.case.run_id, timeout=LONGEST_CLEAR)
            else:
                airflow.clear(going.case.dag_id, going.case.run_id, "run", timeout=LONGEST_CLEAR)
        except (requests.RequestException, StackError) as error:
            going.record.notes.append(f"Airflow did not say whether it cleared: {error}")
        else:
            going.was_cleared = True

    def _note_own_strike(self, going: Going) -> None:
        told = self._scene.struck(going.case.run_id)
        if told is None:
            return
        strike, record = going.case.strike, going.record
        record.struck_at, record.window = told["at"], str(strike.point)
        if strike.how.startswith("freeze"):
            pids = _frozen_by(strike.how, told["pid"], told["supervisor"])
            going.frozen = _freeze(pids, strike.hold, told["try"] if strike.until_retry else None, told["at"])

    def _aim(self, going: Going, mine: Seen, everything: dict[str, list[Seen]]) -> None:
        strike = going.case.strike
        if going.aimed_at is None and self._reached(str(strike.aim), going, mine):
            going.aimed_at = now()
        if going.aimed_at is None or now() < going.aimed_at + strike.delay:
            return
        window = self._window(going, mine)
        if strike.target == "task":
            if mine.state == "running" and mine.pid and psutil.pid_exists(mine.pid):
                self._strike_task(going, mine)
                self._note(going, window)
        elif now() >= self._machines_rest_until and self._strike_machine(going):
            self._note(going, window)
            for other in self._going:
                its = [one for one in everything.get(other.case.run_id, []) if one.map_index == other.case.map_index]
                if its:
                    other.record.touched.append(f"{strike.target} {strike.how}: {self._window(other, its[0])}")

    def _note(self, going: Going, window: str) -> None:
        going.record.struck_at, going.record.window = now(), window

    def _reached(self, aim: str, going: Going, mine: Seen) -> bool:
        sent = self._scene.runs_sent(mine)
        match aim:
            case "the try runs":
                return mine.state == "running"
            case "runJob came in":
                return bool(sent)
            case "the id is stored":
                return mine.instance_id is not None
            case "it waits":
                return mine.state == "deferred" or (mine.state == "running" and mine.instance_id is not None)
            case "the instance ended":
                return bool(sent) and now() >= moment(sent[-1]["time"]) + self._scene.job_seconds
            case "it resumes":
                return mine.state == "running" and mine.next_method is not None
        return True

    def _window(self, going: Going, mine: Seen) -> str:
        """Say, from what can be seen from outside, where a task is."""
        sent = self._scene.runs_sent(mine)
        ended = bool(sent) and now() >= moment(sent[-1]["time"]) + self._scene.job_seconds
        if mine.state == "deferred":
            return "at the event" if ended else "while deferred"
        if mine.state != "running":
            return "no process"
        if mine.next_method is not None:
            return "at the resume"
        if mine.stored is None:
            return "before the intent"
        if mine.instance_id is None:
            if not sent or moment(sent[-1]["time"]) < mine.stored["at"] - 1.5:
                return "intent to runJob"
            return "runJob to answer" if now() < moment(sent[-1]["time"]) + ANSWER_DELAY else "answer to store"
        if mine.try_number > 1 and not ended:
            return "a later try waits or begins"
        if going.case.kind.startswith("waiting"):
            return "at the end" if ended else "while waiting in the worker"
        return "store to wait"

    def _strike_task(self, going: Going, mine: Seen) -> None:
        strike, pid = going.case.strike, int(mine.pid or 0)
        with suppress(psutil.Error):
            supervisor = psutil.Process(pid).ppid()
            match strike.how:
                case "kill":
                    send_signal([pid], signal.SIGKILL)
                case "kill supervisor":
                    send_signal([supervisor], signal.SIGKILL)
                case "kill both":
                    send_signal([supervisor, pid], signal.SIGKILL)
                case "term":
                    send_signal([pid], signal.SIGTERM)
                case "freeze" | "freeze both" | "freeze supervisor":
                    pids = _frozen_by(strike.how, pid, supervisor)
                    send_signal(pids, signal.SIGSTOP)
                    going.frozen = _freeze(pids, strike.hold, mine.try_number if strike.until_retry else None, now())

    def _strike_machine(self, going: Going) -> bool:
        strike = going.case.strike
        name = MACHINES[strike.target][strike.which - 1]
        main = processes.program_of(self._scene.folder, name)
        if main is None:
            return False
        family = [main.pid, *(child.pid for child in main.children(recursive=True))]
        self._machines_rest_until = now() + REST_OF_MACHINES
        match strike.how:
            case "kill":
                send_signal(family, signal.SIGKILL)
            case "term":
                send_signal([main.pid], signal.SIGTERM)
            case "freeze":
                send_signal(family, signal.SIGSTOP)
                # Not by our own loop, which may be waiting for this very machine.
                waking = threading.Timer(strike.hold, send_signal, [family, signal.SIGCONT])
                waking.start()
                self._waking.append(waking)
        return True

    def _wakes(self, frozen: Frozen, mine: Seen) -> bool:
        if frozen.until is not None:
            return now() >= frozen.until
        begun = mine.try_number > frozen.after_try and mine.state in ("running", "deferred", *OVER)
        begun = begun or mine.state == "failed"  # no retry is left
        if begun and frozen.retry_seen is None:
            frozen.retry_seen = now()
        if frozen.retry_seen is not None:
            return now() >= frozen.retry_seen + frozen.hold
        return now() >= frozen.at + LONGEST_FREEZE

    def _end(self, going: Going, tasks: list[Seen]) -> None:
        record = going.record
        try:
            guests.leave(self._scene, going.case.guest, going.job_id)
            found = self._scene.instances(going.job_id)
            ends = [TaskEnd(one.state, self._scene.returned(one), one.try_number) for one in tasks]
        except Exception as error:  # the emulator or Airflow is away at the moment: later
            if now() - going.began > 2 * self._longest:
                raise StackError(f"{going.case.run_id} can't be balanced: {error}") from error
            return
        if going.frozen:
            send_signal(going.frozen.pids, signal.SIGCONT)
        may_stop = 1 if going.case.strike.how == "term" and going.case.strike.target == "task" else 0
        struck = record.struck_at is not None
        # Without a retry, a try that Airflow has given up ends with its instance stopped.
        given_up = going.case.kind in ONCE and bool(going.case.strike.until_retry)
        may_stop = 1 if given_up else may_stop
        own = [one for one in found if not guests.is_guests(one)]
        of_guests = [one for one in found if guests.is_guests(one)]
        # Whose instance was deleted may fail, and then has no other.
        deleted = going.case.guest == "deletes" and going.guest_acted and not own
        clears = int(going.cleared_at is not None)
        cleared_at = going.cleared_at if going.was_cleared else None
        before = [one for one in own if cleared_at and moment(str(one.created_at)) < cleared_at]
        account = balance(
            own, ends,
            may_stop=may_stop if struck else 0, clears=clears, runs_again=bool(before), may_fail=given_up or deleted,
        )  # fmt: skip
        account.stopped += [f"{one.id} of {one.run_by} was stopped" for one in of_guests if one.status == "KILLED"]
        if going.case.guest in ("person", "schedule") and going.guest_acted and not of_guests:
            record.notes.append("the guest has started nothing")
        for name, lines in account.findings.items():
            record.findings.setdefault(name, []).extend(lines)
        record.end = ", ".join(sorted({str(one.state) for one in ends}))
        record.tries = max((one.try_number for one in tasks), default=0)
        record.seconds = now() - going.began
        record.instances = [
            {
                "number": one.number,
                "status": one.status,
                "from": one.created_at,
                "to": one.end_time,
                "by": one.run_by,
                "guest's": guests.is_guests(one),
            }
            for one in found
        ]
        if record.findings:
            self._say(f"{going.case.run_id} {going.case.kind} {going.case.strike} {record.window}: {record.findings}")
        self.records.append(record)
        self._going.remove(going)


def _frozen_by(how: str, task: int, supervisor: int) -> list[int]:
    return {"freeze": [task], "freeze supervisor": [supervisor], "freeze both": [supervisor, task]}[how]


def _freeze(pids: list[int], hold: float, after_try: int | None, at: float) -> Frozen:
    if after_try is None:
        return Frozen(pids, at, until=at + hold)
    return Frozen(pids, at, until=None, after_try=after_try, hold=hold)


def send_signal(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to processes; those that are gone are left out."""
    for pid in pids:
        with suppress(psutil.Error):
            psutil.Process(pid).send_signal(number)
