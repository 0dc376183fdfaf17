"""Puts the verdicts of a soak beside the other results, so that the table shows them.

usage: python -m benchmarks.soak_results SOAK_FOLDER [build/bench]

SOAK_FOLDER is one that `bbia soak` has left, or the folder in which they lie: then the newest of them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.harness import Figure, write

SUMMARY = "summary.json"


def newest(folder: Path) -> Path:
    """The summary of a soak, or of the last one in the folder.

    Raises:
        FileNotFoundError: there is none.
    """
    if (folder / SUMMARY).is_file():
        return folder / SUMMARY
    found = sorted(folder.glob(f"soak-*/{SUMMARY}"))
    if not found:
        raise FileNotFoundError(f"no {SUMMARY} of a soak in {folder}; run `make soak` first")
    return found[-1]


def figures(summary: Path) -> list[Figure]:
    """One figure per verdict; what was measured is a text, because it is often more than a number."""
    content = json.loads(summary.read_text(encoding="utf-8"))
    return [
        Figure(id=f"soak.{one['key']}", what=one["what"], value=None, text=one["measured"], unit="", goal=one["limit"],
               baseline=None, met=one["passed"], note="")
        for one in content["verdicts"]
    ]  # fmt: skip


def command(summary: Path) -> str:
    """How that soak was begun."""
    options = json.loads(summary.read_text(encoding="utf-8"))["options"]
    chaos = " --chaos" if options["chaos"] else ""
    return f"bbia soak --cycles {options['cycles']} --minutes {options['minutes']:g}{chaos} --seed {options['seed']}"


if __name__ == "__main__":
    source = newest(Path(sys.argv[1]))
    write(Path(sys.argv[2] if len(sys.argv) > 2 else "build/bench") / "soak.json", figures(source), command(source))
