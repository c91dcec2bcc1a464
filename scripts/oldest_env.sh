#!/usr/bin/env bash
# Makes the environment in which the suite in tests/system/stack/versions runs: an older Airflow with the packages of its time, and this
# checkout. Takes Airflow's version, whose pins are in tests/system/stack/versions/; does nothing where it is there already.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$1
pins=tests/system/stack/versions/airflow-$version.txt
folder=.venv-$version
python=.venv/bin/python
[ -x "$python" ] || python=python3

if [ ! -f "$pins" ]; then
    echo "There are no pins for Airflow $version. AIRFLOW= takes one of:" \
        "$(ls tests/system/stack/versions/airflow-*.txt | sed 's/.*airflow-//; s/\.txt$//' | xargs)" >&2
    exit 2
fi
state=$(cat "$pins" pyproject.toml | cksum)
if [ "$(cat "$folder/.installed" 2>/dev/null)" = "$state" ]; then
    exit 0
fi
echo "Installing Airflow $version into $folder (once; a few minutes) ..."
rm -rf "$folder"
"$python" -m venv "$folder"
# Airflow 3.0 shows a connection's own fields only where the FAB provider is installed, as it is in Airflow's image.
fab=$(grep -o '^apache-airflow-providers-fab' "$pins" || true)
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --constraint "$pins" \
    --editable '.[emulator]' $fab pytest pytest-asyncio pytest-timeout pytest-xdist
echo "$state" >"$folder/.installed"
