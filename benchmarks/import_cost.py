"""What importing this provider adds to a DAG file's parse, beside what Airflow had loaded already.

Run it with ``make bench``. Each figure is the median over fresh interpreters.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
from importlib import metadata

REPEATS = 9
HEAVY = ("gql", "graphql", "aiohttp", "requests", "requests_toolbelt")
# What a DAG processor has loaded before it parses a file.
AIRFLOW = "import airflow.triggers.base, airflow.providers.common.compat.sdk\nfrom airflow.sdk import DAG, BaseOperator"
OURS = {
    "operators": "import airflow_provider_saagie.operators.saagie",
    "operators and sensor": ("import airflow_provider_saagie.operators.saagie, airflow_provider_saagie.sensors.saagie"),
    "trigger": "import airflow_provider_saagie.triggers.saagie",
    "hook": "import airflow_provider_saagie.hooks.saagie",
    "provider info": "import airflow_provider_saagie.get_provider_info",
}
SCRIPT = """
import json, sys, time
{before}
loaded = set(sys.modules)
start = time.perf_counter()
{measured}
took = time.perf_counter() - start
new = sorted(set(sys.modules) - loaded)
print(json.dumps([took, len(new), [name for name in new if name.split('.')[0] in {heavy!r}]]))
"""


def measure(before: str, measured: str) -> tuple[float, int, list[str]]:
    """Import something in fresh interpreters.

    :return: the median in milliseconds, how many modules it loaded, and which of the heavy ones.
    """
    script = SCRIPT.format(before=before, measured=measured, heavy=HEAVY)
    runs = []
    for _ in range(REPEATS):
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        runs.append(json.loads(run.stdout.splitlines()[-1]))
    return statistics.median(took for took, *_ in runs) * 1000, runs[0][1], runs[0][2]


def main() -> int:
    """Measure and print; 1 where something heavy is loaded."""
    print(
        f"Python {platform.python_version()}, Airflow {metadata.version('apache-airflow')}, median of {REPEATS} runs\n"
    )
    base, modules, _ = measure("", AIRFLOW)
    print(f"{'Airflow itself, loaded already':<34} {base:8.1f} ms  {modules:5} modules")
    loads_heavy = False
    for name, code in OURS.items():
        took, modules, heavy = measure(AIRFLOW, code)
        loads_heavy = loads_heavy or bool(heavy)
        print(
            f"{'+ our ' + name:<34} {took:8.1f} ms  {modules:5} modules  {', '.join(heavy) or 'none of the heavy ones'}"
        )
    print(f"\nHeavy: {', '.join(HEAVY)}")
    return int(loads_heavy)


if __name__ == "__main__":
    raise SystemExit(main())
