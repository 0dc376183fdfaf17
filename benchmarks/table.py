"""Turns the JSON files of a benchmark run into the Markdown tables of docs/benchmarks.md.

usage: python -m benchmarks.table build/bench > tables.md
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def markdown(folder: Path) -> str:
    """One section per area, in the order of their file names.

    Raises:
        FileNotFoundError: there is no JSON file in the folder.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise FileNotFoundError(f"no benchmark results in {folder}; run `make bench` first")
    return "\n".join(_section(path.stem, json.loads(path.read_text(encoding="utf-8"))) for path in paths)


def _section(area: str, content: dict[str, Any]) -> str:
    machine = content["machine"]
    lines = [
        f"## {area}",
        "",
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']:.0f} GB, Python {machine['python']}; "
        f"{content['date']}; `{content.get('command') or f'make bench AREA={area}'}`",
        "",
        "| figure | value | goal | baseline | |",
        "|---|---|---|---|---|",
    ]
    for item in content["figures"]:
        value, baseline = (_number(item[key], item["unit"]) for key in ("value", "baseline"))
        verdict = {None: "", True: "met", False: "**missed**"}[item["met"]]
        note = f" ({item['note']})" if item["note"] else ""
        cells = (f"{item['what']}{note}", value or item.get("text") or "not measured", item["goal"], baseline, verdict)
        lines.append(f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ') for cell in cells)} |")
    return "\n".join([*lines, ""])


def _number(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.4g} {unit}"


if __name__ == "__main__":
    print(markdown(Path(sys.argv[1] if len(sys.argv) > 1 else "build/bench")))
