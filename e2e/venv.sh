#!/usr/bin/env bash
# Makes the Python environment that everything else runs in: pinned and hash-checked packages, dbcustody itself editable.
set -euo pipefail
venv=${1:?folder of the environment}
python=${PYTHON3:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "dbcustody needs Python 3.11 or newer as 'python3' (or set PYTHON3 to one)" >&2
  exit 1
fi
if [ ! -x "$venv/bin/pip" ]; then
  if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
      echo "dbcustody needs Python's venv module: install python3-venv" >&2
      exit 1
    fi
    echo "installing python3-venv"
    apt-get update -qq
    apt-get install -y -qq python3-venv
  fi
  echo "making the Python environment (first time: about a minute)"
  "$python" -m venv "$venv"
fi
"$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
