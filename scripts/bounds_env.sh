#!/usr/bin/env bash
# Makes the environment of `make test-bounds`, with this checkout in it. `lowest`: the lower bounds of pyproject.toml, beside
# Airflow 3.0.0 with the packages of its time. `newest`: whatever the index has. The lowest is kept until a bound changes;
# the newest is brought up to date each time. PYTHON names the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

which=$1
folder=.venv-$which
python=${PYTHON:-python3}
version=$("$python" --version)
# What the unit tests need; those that need something else say so, and are skipped.
tools=(hypothesis pytest pytest-asyncio pytest-timeout pytest-xdist statsd trustme)
install() {
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@" \
        --editable '.[emulator,openlineage]' "${tools[@]}"
}

case $which in
lowest)
    state="$version $(cat tests/system/stack/versions/airflow-3.0.0.txt pyproject.toml scripts/bounds.py "$0" | cksum)"
    if [ "$(cat "$folder/.installed" 2>/dev/null)" = "$state" ]; then
        exit 0
    fi
    echo "Installing the lowest versions into $folder (once; a few minutes) ..."
    rm -rf "$folder"
    "$python" -m venv "$folder"
    "$python" -m scripts.bounds >"$folder/constraints.txt"
    install --constraint "$folder/constraints.txt"
    echo "$state" >"$folder/.installed"
    ;;
newest)
    echo "Installing the newest versions into $folder (a few minutes the first time) ..."
    if [ "$(cat "$folder/.installed" 2>/dev/null)" != "$version" ]; then
        rm -rf "$folder"
        "$python" -m venv "$folder"
    fi
    install --upgrade --upgrade-strategy eager
    echo "$version" >"$folder/.installed"
    ;;
*)
    echo "BOUNDS= takes lowest or newest." >&2
    exit 2
    ;;
esac
