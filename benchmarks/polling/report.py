"""What the measurements come to: the goals, a table, ``docs/polling.json``, the picture and the text in the docs."""

from __future__ import annotations

import json
import math
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from benchmarks.figures import Bound
from benchmarks.polling.measure import CONTENDERS, KEEPS_UP, Figures, median_of
from benchmarks.polling.plan import INTERVAL
from benchmarks.polling.plot import draw

__all__ = ["Results", "goals", "markdown", "write_docs"]

DOCS = Path(__file__).resolve().parents[2] / "docs"
FLOOR, PEERS = "bare", ("dbt_cloud", "databricks", "airbyte")
MARKS = "<!-- what make bench-polling measured -->", "<!-- end of what make bench-polling measured -->"
SHOWN = "![CPU of the process against the number of runs](pictures/polling.svg)\n\n[All figures](polling.json):"
KIB = 1024


@dataclass
class Results:
    """All that was measured.

    :param repeats: of each contender and number of runs, what each measurement came to.
    :param young: the same for runs that last five seconds each.
    :param memory: bytes that a waiter takes, by what.
    :param versions: of each contender's package.
    :param loads: the machine's load at the beginning and at the end.
    """

    repeats: dict[tuple[str, int], list[Figures]] = field(default_factory=dict)
    young: list[Figures] = field(default_factory=list)
    memory: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    loads: list[float] = field(default_factory=list)

    def of(self, module: str, count: int) -> Figures | None:
        """Give the medians; None where it was not measured, or a round did not fit into the interval."""
        found = self.repeats.get((module, count))
        medians = median_of(found) if found else None
        return medians if medians and medians.keeps_up else None

    def counts(self, module: str) -> list[int]:
        """Give the numbers of runs that a contender was measured with."""
        return sorted(count for name, count in self.repeats if name == module)


def goals(results: Results) -> Iterator[Bound]:
    """Give what is aimed at, as far as it was measured."""
    one, many = results.of("ours", 1_000), results.of("ours", 10_000)
    dbt = results.of("dbt_cloud", 1_000)
    peers = [found.cpu_ms for peer in PEERS if (found := results.of(peer, 1_000))]
    floor = results.of(FLOOR, 10_000)
    if one and dbt:
        yield Bound("1,000 runs: CPU in hundredths of dbt Cloud's", 100 * one.cpu_ms / dbt.cpu_ms, 1)
        yield Bound("1,000 runs: requests in hundredths of dbt Cloud's", 100 * one.requests / dbt.requests, 1)
    if one and peers:
        yield Bound("1,000 runs: CPU in thirtieths of the cheapest peer's", 30 * one.cpu_ms / min(peers), 1)
    if many:
        yield Bound("10,000 runs: loop lag, p99", many.lag_p99_ms, 20, "ms")
        yield Bound("10,000 runs: a round takes", many.round_seconds, 1.02 * INTERVAL, "s")
        yield Bound("10,000 runs: from end to event, median", many.delay_p50_ms, INTERVAL * 500 + 200, "ms")
        yield Bound("10,000 runs: from end to event, p99", many.delay_p99_ms, INTERVAL * 1000 + 500, "ms")
    if many and floor:
        yield Bound("10,000 runs: CPU beside the bare poller's", many.cpu_ms / floor.cpu_ms, 2, "x")
    if results.young:
        yield Bound("runs of 5 s: from end to event, the longest", median_of(results.young).delay_max_ms, 2000, "ms")
    if results.memory:
        yield Bound("a waiter's memory in the watcher", results.memory["watcher"] / KIB, 3, "KiB")


def markdown(results: Results) -> str:
    """Write the table and the goals as they stand in the docs."""
    lines = [
        "| | Runs | Requests | New connections | CPU | Loop lag, p50 / p99 | Memory a run | End to event, p50 / p99 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for module, one in CONTENDERS.items():
        lines += [f"| {one.label} | {n:,} | {_cells(results, module, n)} |" for n in results.counts(module)]
    lines += ["", "| Aimed at | Measured | At most | |", "| --- | --- | --- | --- |"]
    for goal in goals(results):
        mark = "held" if goal.is_kept else "**not held**"
        lines.append(f"| {goal.name} | {goal.value:.2f} {goal.unit} | {goal.limit:g} {goal.unit} | {mark} |")
    ran = ", ".join(f"{CONTENDERS[module].package} {version}" for module, version in results.versions.items())
    lines += ["", f"Taken on {_machine_words(results)}, with {ran}."]
    return "\n".join(lines)


def _cells(results: Results, module: str, count: int) -> str:
    found = results.of(module, count)
    if found is None:
        measured = median_of(results.repeats[module, count])
        why = f"{measured.failed:,.0f} runs failed; " if measured.failed else ""
        return f"{why}a round took {measured.round_seconds:.1f} s: it does not fit into the interval | | | | |"
    return " | ".join(
        (
            f"{found.requests:,.0f}",
            f"{found.connections:,.0f}",
            f"{found.cpu_ms:,.0f} ms",
            "" if math.isnan(found.lag_p99_ms) else f"{found.lag_p50_ms:.1f} / {found.lag_p99_ms:,.0f} ms",
            f"{found.kib_a_run:,.0f} KiB",
            f"{found.delay_p50_ms / 1000:.2f} / {found.delay_p99_ms / 1000:.2f} s",
        )
    )


def machine(results: Results) -> dict[str, Any]:
    """Say what the figures were taken on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load at the beginning": round(results.loads[0], 1),
        "load at the end": round(results.loads[-1], 1),
    }


def _machine_words(results: Results) -> str:
    found = machine(results)
    return (
        f"{found['cores']} cores of {found['processor']}, Python {found['python']}, a load of "
        f"{found['load at the beginning']} at the beginning and {found['load at the end']} at the end"
    )


def _processor() -> str:
    try:
        named = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        named = None
    return named[1].strip() if named else platform.machine()


def as_json(results: Results) -> str:
    """Write all figures, those of each repeat too."""
    measured = [
        {
            "contender": module,
            "runs": count,
            "keeps up": results.of(module, count) is not None,
            "medians": _plain(median_of(repeats)),
            "repeats": [_plain(one) for one in repeats],
        }
        for (module, count), repeats in results.repeats.items()
    ]
    told = {
        "machine": machine(results),
        "versions": {CONTENDERS[module].package: version for module, version in results.versions.items()},
        "interval in seconds": INTERVAL,
        "keeps up where a round takes at most so many intervals": KEEPS_UP,
        "measured": measured,
        "runs of five seconds": [_plain(one) for one in results.young],
        "bytes of a waiter": results.memory,
        "goals": [{**asdict(goal), "is_kept": goal.is_kept} for goal in goals(results)],
    }
    return json.dumps(told, indent=1, allow_nan=False) + "\n"


def _plain(figures: Figures) -> dict[str, float | None]:
    values = {one.name: getattr(figures, one.name) for one in fields(figures)}
    return {name: None if math.isnan(value) else round(value, 3) for name, value in values.items()}


def picture(results: Results) -> str:
    """Draw the cost against the number of runs; where a round does not fit there is no point."""
    lines = {
        one.label: [(n, found.cpu_ms) for n in results.counts(module) if (found := results.of(module, n))]
        for module, one in CONTENDERS.items()
    }
    return draw({label: points for label, points in lines.items() if points}, INTERVAL * 1000)


def write_docs(results: Results) -> None:
    """Write the JSON, the picture, and the table between its marks in the page."""
    (DOCS / "polling.json").write_text(as_json(results))
    (DOCS / "pictures" / "polling.svg").write_text(picture(results))
    page = DOCS / "benchmarks.md"
    before, _, rest = page.read_text().partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    page.write_text(f"{before}{MARKS[0]}\n\n{SHOWN}\n\n{markdown(results)}\n\n{MARKS[1]}{after}")
