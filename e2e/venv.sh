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
  echo "making the Python environment (first time: about 20 seconds)"
  "$python" -m venv "$venv"
fi

pip=("$venv/bin/pip" --disable-pip-version-check install --quiet)
uv=("$venv/bin/uv" --native-tls pip install --quiet --python "$venv/bin/python")

# uv does in seconds what takes pip minutes. It does not read pip's settings; where it cannot get to the packages, pip may.
install_with_uv() {
  local index
  "${pip[@]}" --require-hashes -r requirements/uv.txt || return 1
  index=${PIP_INDEX_URL:-$("$venv/bin/pip" config get global.index-url 2>/dev/null || true)}
  [ -z "$index" ] || export UV_DEFAULT_INDEX=$index
  "${uv[@]}" --require-hashes -r requirements/dev.txt && "${uv[@]}" --no-deps --no-build-isolation --editable .
}

if ! install_with_uv; then
  echo "uv could not install the packages (see above); pip does it (about 2 minutes)"
  "${pip[@]}" --require-hashes -r requirements/dev.txt
  "${pip[@]}" --no-deps --no-build-isolation --editable .
fi
