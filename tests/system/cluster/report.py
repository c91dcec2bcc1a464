"""What a run came to: a table of windows and strikes, as Markdown and JSON.

`python -m tests.system.cluster.report a/chaos.json b/chaos.json` puts the tables of several runs together.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from tests.system.cluster.plan import Case, Strike
from tests.system.cluster.striker import Record

FINDINGS = ("doubled", "lost", "orphaned", "stopped")
HEAD = ("Where", "What", "By the clock", "By a failpoint", "Doubled", "Lost", "Orphaned", "Stopped in error")


def table(records: list[Record]) -> str:
    """Give the table of all that were struck, as Markdown."""
    rows: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for record in records:
        if record.struck_at is None:
            continue
        strike = record.case.strike
        what = strike.how if strike.target == "task" else f"{strike.target}: {strike.how}"
        row = rows[record.window, what]
        row["failpoint" if strike.point else "clock"] += 1
        for name in record.findings:
            row[name] += 1
    lines = [(*key, *_numbers(row)) for key, row in sorted(rows.items())]
    return _table(HEAD, 2, [*lines, ("**all**", "", *_numbers(sum(rows.values(), Counter())))])


def windows(records: list[Record]) -> str:
    """Give how many strikes fell into each window, as Markdown."""
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        if record.struck_at is not None:
            rows[record.window]["failpoint" if record.case.strike.point else "clock"] += 1
        for one in record.touched:
            rows[one.rpartition(": ")[2]]["touched"] += 1
        for name in record.findings:
            rows[record.window][name] += 1
    head = ("Where", "By the clock", "By a failpoint", "Touched by a strike at a machine", *HEAD[4:])
    columns = ("clock", "failpoint", "touched", *FINDINGS)
    return _table(head, 1, [(name, *(row[one] for one in columns)) for name, row in sorted(rows.items())])


def kinds(records: list[Record]) -> str:
    """Give what became of each kind of task, and with each guest, at each point, as Markdown."""
    rows: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for record in records:
        if record.struck_at is not None:
            case = record.case
            what = ", ".join(filter(None, (case.scenario, case.guest, case.kind)))
            how = case.strike.how if case.strike.target == "task" else f"{case.strike.target}: {case.strike.how}"
            how += " until a retry begins" if case.strike.until_retry else ""
            where = record.window if case.scenario in ("exclusive", "clears", "shared") else "while it waits"
            row = rows[what, case.strike.point or where, how]
            row.update(["strikes", record.end, *record.findings])
    head = ("Task", "Where", "What", "Strikes", "Ended well", *HEAD[4:])
    columns = ("strikes", "success", *FINDINGS)
    return _table(head, 3, [(*key, *(row[one] for one in columns)) for key, row in sorted(rows.items())])


def write(records: list[Record], folder: Path, told: str) -> str:
    """Write `chaos.md` and `chaos.json`.

    :param told: how the run was made.
    :return: what `chaos.md` holds.
    """
    special = any(record.case.scenario != "exclusive" for record in records)
    by_kind = f"{kinds(records)}\n\n" if special else ""
    text = f"{told}\n\n{by_kind}{windows(records)}\n\n{table(records)}\n"
    (folder / "chaos.md").write_text(text)
    (folder / "chaos.json").write_text(json.dumps([asdict(record) for record in records], indent=1))
    return text


def read(file: Path) -> list[Record]:
    """Read a `chaos.json`."""
    found = []
    for row in json.loads(file.read_text()):
        case = row.pop("case")
        found.append(Record(Case(**{**case, "strike": Strike(**case["strike"])}), **row))
    return found


def _numbers(row: Counter[str]) -> tuple[int, ...]:
    return row["clock"], row["failpoint"], *(row[name] for name in FINDINGS)


def _table(head: tuple[str, ...], names: int, rows: Iterable[tuple[object, ...]]) -> str:
    """Write a table whose first columns are names, the others numbers, as Markdown."""
    lines = ["| " + " | ".join(map(str, cells)) + " |" for cells in (head, *rows)]
    return "\n".join([lines[0], "| --- " * names + "| ---: " * (len(head) - names) + "|", *lines[1:]])


if __name__ == "__main__":
    everything = [record for name in sys.argv[1:] for record in read(Path(name))]
    sys.stdout.write(f"{windows(everything)}\n\n{table(everything)}\n")
