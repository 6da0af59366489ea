#!/usr/bin/env bash
# Runs mypy on the package as it is installed: the top-level folders are packages below `muxflow`, which a link tree
# shows to mypy without installing anything.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
tree=$root/build/typecheck
rm -rf "$tree"
mkdir -p "$tree/muxflow"
for file in "$root"/muxflow/*; do ln -s "$file" "$tree/muxflow/"; done
for folder in frontend dataflow hls proof board reports; do ln -s "$root/$folder" "$tree/muxflow/$folder"; done
cd "$tree"
exec "${MYPY:-mypy}" --config-file "$root/pyproject.toml" --cache-dir "$root/.mypy_cache" -p muxflow
