"""A 2 GiB artifact up and down: throughput beside curl on the same server in the same run, and extra memory.

Run it with ``python -m benchmarks.artifacts``: it ends with 1 where a figure is worse than what is promised.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_saagie.client.saagie import SaagieClient
from benchmarks.figures import Bound, machine, verdict
from benchmarks.quick_server import quick_server
from benchmarks.saagie_scene import PLATFORM, last_line, settings_for

MIB = 1024 * 1024
SIZE, ROUNDS = 2048 * MIB, 3
JOB, PROJECT, TECHNOLOGY = str(uuid.UUID(int=1)), str(uuid.UUID(int=2)), str(uuid.UUID(int=3))
PATH = f"/projects/api/platform/{PLATFORM}"
ANSWERS = {
    "jobSettings": {"data": {"job": {"id": JOB, "versions": [{"number": 1, "isCurrent": True}]}}},
    "upload": {"data": {"addJobVersion": {"number": 2}}},
    "job": {
        "data": {
            "job": {
                "id": JOB,
                "name": "large",
                "technology": {"id": TECHNOLOGY},
                "versions": [
                    {"number": 1, "packageInfo": {"name": "large.bin", "downloadUrl": f"{PATH}/artifact/large.bin"}}
                ],
            }
        }
    },
    "repositories": {
        "data": {"repositories": [{"name": "Saagie", "technologies": [{"id": TECHNOLOGY, "label": "Python"}]}]}
    },
}


@dataclass(frozen=True)
class Transfer:
    """A transfer: how long it took, and what the process held beyond what it held before (0: not looked at)."""

    seconds: float
    extra_mib: float = 0

    @property
    def rate(self) -> float:
        """MiB a second."""
        return SIZE / MIB / self.seconds


def transfer_here(way: str, url: str, path: Path) -> None:
    """Upload or export with the client, in this process, and print what it took.

    What a process needs once (modules, TLS, buffers) is there before: a small transfer comes first.
    """
    with SaagieClient(settings_for(url)) as client:
        client.jobs.upgrade(JOB, __file__)
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
        before = _memory("VmRSS")
        began = time.perf_counter()
        if way == "upload":
            client.jobs.upgrade(JOB, str(path))
        else:
            client.jobs.export(JOB, str(path))
        seconds = time.perf_counter() - began
    if way != "upload" and [file.stat().st_size for file in path.rglob("large.bin")] != [SIZE]:
        raise SystemExit("the file did not come whole")
    print(json.dumps([seconds, _memory("VmHWM") - before]))


def _memory(field: str) -> float:
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def ours(way: str, url: str, path: Path) -> Transfer:
    """Transfer with the client, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.artifacts", "--here", way, url, str(path)]
    return Transfer(*json.loads(last_line(command)))


def curl(*arguments: str) -> Transfer:
    """Transfer with curl; it says itself how long that took, without its own start."""
    return Transfer(
        float(last_line(["curl", "--silent", "--show-error", "--fail", "-w", "\n%{time_total}", *arguments]))
    )


def ways(url: str, folder: Path) -> dict[str, Callable[[], Transfer]]:
    """Give each way to transfer the file; what is downloaded goes to the same disk, and is removed at once."""
    source = folder / "large.bin"
    if not source.exists():
        with source.open("wb") as file:
            file.truncate(SIZE)
        with source.open("rb") as file:  # the first to read it would wait for the disk
            while file.read(MIB):
                pass
    operations = json.dumps({"query": "mutation", "variables": {"file": None}})

    def removed(transfer: Callable[[Path], Transfer]) -> Transfer:
        with tempfile.TemporaryDirectory(dir=folder) as target:
            return transfer(Path(target))

    return {
        "curl -F": lambda: curl(
            "-F", f"operations={operations}", "-F", 'map={"0": ["variables.file"]}', "-F", f"0=@{source}",
            f"{url}{PATH}/graphql",
        ),
        "jobs.upgrade(file=…)": lambda: ours("upload", url, source),
        "curl -o": lambda: removed(lambda target: curl("-o", str(target / "f"), f"{url}{PATH}/artifact/large.bin")),
        "jobs.export": lambda: removed(lambda target: ours("export", url, target)),
    }  # fmt: skip


def main() -> int:
    """Measure and print; 1 where a promise is not kept."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--here", nargs=3, metavar=("WAY", "URL", "PATH"), help=argparse.SUPPRESS)
    if here := arguments.parse_args().here:
        transfer_here(here[0], here[1], Path(here[2]))
        return 0
    if shutil.which("curl") is None:
        print("curl is not installed: not measured.")
        return 1
    if shutil.disk_usage(tempfile.gettempdir()).free < 2 * SIZE:
        print(f"{tempfile.gettempdir()} has not {2 * SIZE // MIB:,} MiB of room: not measured.")
        return 1
    print(f"\nLarge files. {machine()}")
    took: dict[str, list[Transfer]] = {}
    with tempfile.TemporaryDirectory() as name:
        answers = Path(name) / "answers.json"
        answers.write_text(json.dumps(ANSWERS))
        with quick_server(answers, SIZE) as url:
            for _ in range(ROUNDS):
                for way, transfer in ways(url, Path(name)).items():
                    took.setdefault(way, []).append(transfer())
    return report(took)


def report(took: dict[str, list[Transfer]]) -> int:
    """Print the table and the promises."""
    rates = {way: statistics.median(one.rate for one in transfers) for way, transfers in took.items()}
    print(f"{SIZE // MIB:,} MiB, median of {ROUNDS}, in turns; the ratios are medians of each round's own\n")
    print(f"{'':<24} {'MiB/s':>8} {'lowest':>8} {'highest':>8}  {'extra memory at most':>20}")
    for way, transfers in took.items():
        each = [one.rate for one in transfers]
        most = max(one.extra_mib for one in transfers)
        print(
            f"{way:<24} {rates[way]:8.0f} {min(each):8.0f} {max(each):8.0f}  " + (f"{most:16.1f} MiB" if most else "")
        )
    bounds: list[Bound] = []
    for way, peer in (("jobs.upgrade(file=…)", "curl -F"), ("jobs.export", "curl -o")):
        ratios = [one.rate / other.rate for one, other in zip(took[way], took[peer], strict=True)]
        bounds.append(Bound(f"{way}: throughput beside {peer}", statistics.median(ratios), 0.5, "x", at_least=True))
        most = max(one.extra_mib for one in took[way])
        bounds.append(Bound(f"{way}: extra memory", most, 20, "MiB"))
    return verdict(bounds)


if __name__ == "__main__":
    sys.exit(main())
