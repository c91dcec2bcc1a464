#!/usr/bin/env bash
# What `make cluster` needs beside the virtual environment: PostgreSQL and Redis, from Debian's packages. Installs what is
# missing where it may; the servers that the packages start are not used, and stay off where systemd doesn't run.
set -euo pipefail

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "A cluster needs ${missing[*]}, which can't be installed here: its tests will be skipped." >&2
    exit 0
fi
echo "Installing ${missing[*]} ..."
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null; then
    echo "${missing[*]} could not be installed: a cluster can't be started." >&2
fi
