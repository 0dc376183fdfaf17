#!/usr/bin/env bash
# Adds torch, torchvision, ultralytics and transformers to the virtual environment that python.sh made (4.8 GB, mostly CUDA
# libraries). The tests and the torch engines need them, the demonstration does not.
# usage: torch.sh VENV
set -euo pipefail
venv=$1
here=$(cd "$(dirname "$0")/../.." && pwd)
requirements=$here/requirements

stamp=$venv/.installed-torch-$(cat "$requirements"/{torch,torch-overrides,torch-constraints,constraints}.txt "$0" | sha256sum | cut -c1-16)
if [ -e "$stamp" ]; then
  echo "setup: torch is up to date"
  exit 0
fi
echo "setup: torch and what runs on it (some gigabytes, once)"
"$venv/bin/uv" pip install --system-certs --python "$venv/bin/python" --requirement "$requirements/torch.txt" \
  --override "$requirements/torch-overrides.txt" --constraint "$requirements/constraints.txt" \
  --constraint "$requirements/torch-constraints.txt"
rm -f "$venv"/.installed-torch-*
touch "$stamp"
