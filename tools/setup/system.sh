#!/usr/bin/env bash
# Installs the system libraries that are missing: as root or with passwordless sudo, else prints the command and stops.
set -euo pipefail

wanted=(
  build-essential cmake   # colcon builds the messages
  ca-certificates python3-venv python3-dev
  libosmesa6 libegl1 libgl1-mesa-dri libgl1   # offscreen rendering without a GPU
  libgles2                # MediaPipe's native library links against it
)
if ! command -v apt-get > /dev/null; then
  echo "setup: no apt-get here; make sure that these (or their like) are installed: ${wanted[*]}" >&2
  exit 0
fi
missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "setup: system libraries are there"
  exit 0
fi
install=(apt-get install -y --no-install-recommends "${missing[@]}")
if [ "$(id -u)" -eq 0 ]; then
  prefix=()
elif sudo -n true 2> /dev/null; then
  prefix=(sudo -n)
else
  echo "setup: missing system libraries. Please run, then try again:" >&2
  echo "    sudo apt-get update && sudo ${install[*]}" >&2
  exit 1
fi
echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${prefix[@]}" apt-get update -qq
"${prefix[@]}" "${install[@]}" > /dev/null
