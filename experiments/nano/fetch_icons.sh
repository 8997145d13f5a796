#!/usr/bin/env bash
# Unpacks the three emoji sets (npm packages, exact versions) into the folder "work" beside this script.
set -euo pipefail
cd "$(dirname "$0")"
for spec in noto@1.2.9 fluent-emoji-flat@1.2.6 fluent-emoji-high-contrast@1.2.6; do
  name=${spec%@*}
  [ -f "work/icons/$name/icons.json" ] && continue
  mkdir -p "work/icons/$name"
  tarball=$(cd work/icons && npm pack --silent "@iconify-json/$spec")
  tar -xzf "work/icons/$tarball" -C "work/icons/$name" --strip-components=1
  rm "work/icons/$tarball"
done
