#!/usr/bin/env bash
# The browser tests drive Debian's chromium. Install it where it is missing and we may; otherwise they are skipped.
set -euo pipefail

if command -v chromium >/dev/null; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "No chromium here, and no right to install it: the browser tests will be skipped."
    exit 0
fi
echo "Installing chromium for the browser tests ..."
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null; then
    echo "chromium could not be installed: the browser tests will be skipped."
fi
