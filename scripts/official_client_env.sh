#!/usr/bin/env bash
# Makes the environment in which tests run the official client. It needs an older requests than Airflow does, so it
# can't live in ours. Does nothing where it is there already; where it can't be made the tests that need it say so.
set -euo pipefail
cd "$(dirname "$0")/.."

version=2.13.1
folder=.venv-saagieapi
python=.venv/bin/python
[ -x "$python" ] || python=python3

if [ "$(cat "$folder/.installed" 2>/dev/null)" = "$version" ]; then
    exit 0
fi
echo "Installing saagieapi $version into $folder (once) ..."
rm -rf "$folder"
if "$python" -m venv "$folder" &&
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "saagieapi==$version"; then
    echo "$version" >"$folder/.installed"
else
    rm -rf "$folder"
    echo "The official client could not be installed: its tests will be skipped." >&2
fi
