"""Measures all ways to wait in one run, prints what is aimed at, and writes it into the docs.

``--short`` measures 100 and 1,000 runs once, and leaves the docs alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.polling import memory
from benchmarks.polling.measure import CONTENDERS, Contender, measure, running_server
from benchmarks.polling.plan import make_plan, make_plan_of_young
from benchmarks.polling.report import Results, goals, markdown, write_docs

COUNTS, SHORT_COUNTS = (50, 100, 200, 1_000, 2_000, 10_000), (100, 1_000)
ONLY_FOR_FEW = {50, 200}
"""Numbers of runs that only those are measured with who can't have many."""
FEW = 200
REPEATS = 3
YOUNG, YOUNG_INTERVAL = 1_000, 10.0


def counts_of(one: Contender, counts: Sequence[int]) -> list[int]:
    """Give the numbers of runs that a contender is measured with."""
    return [n for n in counts if n <= one.most and (one.most <= FEW or n not in ONLY_FOR_FEW)]


def measure_all(results: Results, contenders: Sequence[Contender], counts: Sequence[int], repeats: int) -> None:
    """Measure, in turns, so that what else runs on the machine meets all alike.

    Whose round did not fit into the interval is measured neither again nor with more runs.
    """
    out_of_breath: dict[str, int] = {}
    for repeat in range(repeats):
        for count in counts:
            for one in contenders:
                if count not in counts_of(one, counts) or out_of_breath.get(one.module, count + 1) <= count:
                    continue
                found = measure(
                    one,
                    lambda one=one, count=count, repeat=repeat: make_plan(
                        count, rounds=one.rounds, settling=one.settling, seed=repeat
                    ),
                )
                results.repeats.setdefault((one.module, count), []).append(found)
                if not found.keeps_up and repeat == 0:
                    out_of_breath[one.module] = count
                words = f"{found.cpu_ms:8.1f} ms of CPU, {found.requests:6.0f} requests, {found.round_seconds:5.2f} s"
                late = f"lag p99 {found.lag_p99_ms:6.1f} ms, delay p99 {found.delay_p99_ms:5.0f} ms"
                print(f"{repeat + 1}. {one.label:26} {count:6,} runs: {words} a round; {late}", flush=True)


def weigh() -> dict[str, float]:
    """Give the bytes that a waiter takes."""
    with running_server() as platform:
        plan = make_plan(memory.WAITERS + 1, rounds=1, settling=1, seed=0)
        plan.ends.clear()
        platform.take(plan)
        command = [sys.executable, "-m", memory.__name__, platform.address.url, platform.address.authority]
        told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    return json.loads(told.splitlines()[-1])


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="benchmarks.polling", description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="100 and 1,000 runs, once; the docs are left alone")
    parser.add_argument("--only", nargs="*", choices=CONTENDERS, help="these alone; the docs are left alone")
    told = parser.parse_args()
    counts, repeats = (SHORT_COUNTS, 1) if told.short else (COUNTS, REPEATS)
    contenders = [one for one in CONTENDERS.values() if not told.only or one.module in told.only]
    for one in contenders:
        if not one.is_installed:
            print(f"{one.label} is left out: its environment is not there.")
    contenders = [one for one in contenders if one.is_installed]
    began = time.monotonic()
    results = Results(loads=[os.getloadavg()[0]], versions={one.module: one.version() for one in contenders})
    results.memory = weigh()
    measure_all(results, contenders, counts, repeats)
    young = CONTENDERS["ours"]
    results.young = [
        measure(young, lambda: make_plan_of_young(YOUNG, poll_interval=YOUNG_INTERVAL)) for _ in range(repeats)
    ]
    results.loads.append(os.getloadavg()[0])
    print(f"\n{markdown(results)}\n\nIt took {(time.monotonic() - began) / 60:.0f} minutes.\n")
    for goal in goals(results):
        print(goal)
    if not told.short and not told.only:
        write_docs(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
