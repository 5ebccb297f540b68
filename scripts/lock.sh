#!/bin/sh
# Turn requirements*.in into requirements*.txt: every package pinned with its hashes, one file for
# every supported Python. Pins that still fit are kept; `make lock ARGS=--upgrade` moves them.
set -eu
cd "$(dirname "$0")/.."

uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    # Only uv writes universal locks. It is no dependency of anything else, so it stays out of .venv.
    [ -x .cache/lock/bin/uv ] || { "${PYTHON:-python3}" -m venv .cache/lock && .cache/lock/bin/pip install --quiet uv; }
    uv=.cache/lock/bin/uv
fi

for name in requirements requirements-dev requirements-audit; do
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
        --custom-compile-command "make lock" --output-file "$name.txt" "$@" "$name.in"
done
