#!/usr/bin/env bash
# Makes the environment in which the polling benchmark runs the other providers' triggers: the same Airflow, and the newest
# releases of the three when this was written. Does nothing where it is there already; where it can't be made the benchmark
# goes on without them.
set -euo pipefail
cd "$(dirname "$0")/.."

peers=(
    apache-airflow-providers-airbyte==6.2.0
    apache-airflow-providers-databricks==7.23.0
    apache-airflow-providers-dbt-cloud==4.11.1
)
folder=.venv-peers
python=.venv/bin/python
[ -x "$python" ] || python=python3

state=$(cat constraints.txt "$0" | cksum)
if [ "$(cat "$folder/.installed" 2>/dev/null)" = "$state" ]; then
    exit 0
fi
echo "Installing Airflow and the providers to compare with into $folder (once; a few minutes) ..."
rm -rf "$folder"
# Databricks' own client wants a python-dateutil before 3.0; ours is not pinned for its sake, so the pin is left out here.
if "$python" -m venv "$folder" &&
    grep -v '^python-dateutil==' constraints.txt >"$folder/constraints.txt" &&
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --constraint "$folder/constraints.txt" apache-airflow "${peers[@]}"; then
    echo "$state" >"$folder/.installed"
else
    rm -rf "$folder"
    echo "The providers to compare with could not be installed: the benchmark leaves them out." >&2
fi
