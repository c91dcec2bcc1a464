"""What this provider adds to a DAG file's parse: its imports, beside what Airflow had loaded already, and its tasks.

Run it with ``make bench``. Each figure is the median over fresh interpreters. The promise is about CPU time: on a
machine that does other work at the same time, the clock says more of that work than of ours.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata

from benchmarks.figures import Bound, machine, verdict

REPEATS = 9
LIMIT = 20.0
"""Milliseconds that importing all that a DAG file uses may take."""
HEAVY = ("gql", "graphql", "aiohttp", "requests", "requests_toolbelt")
# What a DAG processor has loaded before it parses a file.
AIRFLOW = "import airflow.triggers.base, airflow.providers.common.compat.sdk\nfrom airflow.sdk import DAG, BaseOperator"
ALL_OURS = "import airflow_provider_saagie.operators.saagie, airflow_provider_saagie.sensors.saagie"
OURS = {
    "operators": "import airflow_provider_saagie.operators.saagie",
    "operators and sensor": ALL_OURS,
    "trigger": "import airflow_provider_saagie.triggers.saagie",
    "hook": "import airflow_provider_saagie.hooks.saagie",
    "provider info": "import airflow_provider_saagie.get_provider_info",
}
BASH = "from airflow.providers.standard.operators.bash import BashOperator"
BASH_TASKS = "with DAG('bash') as dag:\n    for i in range(500): BashOperator(task_id=f't{i}', bash_command='ls')"
SCRIPT = """
import json, sys, time
{before}
loaded = set(sys.modules)
start, cpu = time.perf_counter(), time.process_time()
{measured}
cpu, took = time.process_time() - cpu, time.perf_counter() - start
new = sorted(set(sys.modules) - loaded)
print(json.dumps([cpu * 1000, took * 1000, len(new), [name for name in new if name.split('.')[0] in {heavy!r}]]))
"""


@dataclass(frozen=True)
class Cost:
    """What some code costs.

    :param cpu: the median of its CPU time, in milliseconds.
    :param time: the median of its time, in milliseconds.
    :param modules: how many modules it loaded.
    :param heavy: which of the heavy ones.
    """

    cpu: float
    time: float
    modules: int
    heavy: list[str]

    def line(self, name: str) -> str:
        """Write a line of the table."""
        heavy = ", ".join(self.heavy) or "none of the heavy ones"
        return f"{name:<40} {self.cpu:8.1f} {self.time:9.1f}  {self.modules:5} modules  {heavy}"


def measure(before: str, measured: str) -> Cost:
    """Run some code in fresh interpreters.

    :param before: what is loaded already, and not measured.
    """
    script = SCRIPT.format(before=before, measured=measured, heavy=HEAVY)
    runs = []
    for _ in range(REPEATS):
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        runs.append(json.loads(run.stdout.splitlines()[-1]))
    return Cost(
        statistics.median(cpu for cpu, *_ in runs), statistics.median(time for _, time, *_ in runs), *runs[0][2:]
    )


def main() -> int:
    """Measure and print; 1 where something heavy is loaded, or the imports take longer than promised."""
    print(f"Airflow {metadata.version('apache-airflow')}, {machine()}; median of {REPEATS} runs\n")
    print(f"{'':<40} {'CPU, ms':>8} {'clock, ms':>9}")
    print(measure("", AIRFLOW).line("Airflow itself, loaded already"))
    costs = {name: measure(AIRFLOW, code) for name, code in OURS.items()}
    for name, cost in costs.items():
        print(cost.line(f"+ our {name}"))
    print(measure(f"{AIRFLOW}\n{ALL_OURS}", "import benchmarks.parsed_dag").line("a DAG of 500 of our tasks"))
    print(measure(f"{AIRFLOW}\n{BASH}", BASH_TASKS).line("a DAG of 500 of Airflow's BashOperator"))
    print(f"\nHeavy: {', '.join(HEAVY)}")
    return verdict(
        [
            Bound("importing operators and sensor, CPU", costs["operators and sensor"].cpu, LIMIT, "ms"),
            Bound("heavy modules that are loaded", sum(len(cost.heavy) for cost in costs.values()), 0),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
