"""What every benchmark shares: the form of a figure, the table, the JSON file, percentiles.

A benchmark is a module of this package with `figures(quick: bool) -> list[Figure]`. `bbia bench AREA` runs the modules
of an area (AREAS) and writes build/bench/AREA.json; `python -m benchmarks.motion --quick` runs one alone.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import operator
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict

from rich.console import Console
from rich.table import Table

from bbia_ros import machine

AREAS: dict[str, tuple[str, ...]] = {
    "memory": ("residency", "shells", "activation", "deaths", "deaths_in_stack", "small_budget"),
    "manager": ("manager",),
    "perception": ("perception",),
    "speech": ("speech", "dialogue"),
    "motion": ("motion",),
    "operations": ("stack",),
    "monolith": ("monolith",),
}
"""Area -> modules of this package that measure it."""

NEEDS: dict[str, tuple[str, str]] = {"monolith": ("torch", "make torch")}
"""Area -> the library that not every installation has, and the command that brings it."""

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


class Figure(TypedDict, total=False):
    """One measured figure.

    id: area.name, stable.
    what: for people.
    value: measured; None when it could not be (then `note` says why).
    text: what was measured, where one number does not tell it; then there is no value.
    unit: of value and baseline.
    goal: comparison and number, for instance "<= 180"; empty when none is stated.
    baseline: measured in the same run; None when there is no natural one.
    met: whether the goal is met; None without a goal.
    note: anything a reader must know.
    """

    id: str
    what: str
    value: float | None
    text: str
    unit: str
    goal: str
    baseline: float | None
    met: bool | None
    note: str


def figure(
    id: str, what: str, value: float | None, unit: str, *, goal: str = "", baseline: float | None = None, note: str = ""
) -> Figure:
    """A figure, compared with its goal.

    Args:
        id: area.name.
        what: for people.
        value: measured.
        unit: of the value.
        goal: for instance "<= 1.5"; a number after a comparison sign.
        baseline: measured in the same run.
        note: what a reader must know.

    Raises:
        ValueError: the goal is not of that form.
    """
    met: bool | None = None
    if goal:
        match = re.match(r"(<=|>=|<|>) (-?[\d.]+)", goal)
        if match is None:
            raise ValueError(f"goal '{goal}' of {id} must be a comparison and a number, for instance '<= 1.5'")
        met = value is not None and _COMPARE[match[1]](value, float(match[2]))
    return Figure(id=id, what=what, value=value, unit=unit, goal=goal, baseline=baseline, met=met, note=note)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie (nearest rank).

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def show(figures: Sequence[Figure], console: Console | None = None) -> None:
    """Prints the table."""
    table = Table("figure", "value", "goal", "baseline", "", title_justify="left", box=None)
    for item in figures:
        value = item.get("text") or "not measured"
        if item["value"] is not None:
            value = f"{item['value']:.4g} {item['unit']}"
        baseline = "" if item["baseline"] is None else f"{item['baseline']:.4g} {item['unit']}"
        met = {None: "", True: "[green]met[/green]", False: "[red]missed[/red]"}[item["met"]]
        table.add_row(
            f"{item['what']}{' - ' + item['note'] if item['note'] else ''}", value, item["goal"], baseline, met
        )
    (console or Console()).print(table)


def write(path: Path, figures: Sequence[Figure], command: str = "") -> None:
    """Writes the JSON file of an area.

    Args:
        path: its name without .json is the area.
        figures: what was measured.
        command: that measures it; empty: `make bench AREA=...`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": machine.describe(),
        "date": time.strftime("%Y-%m-%d"),
        "command": command or f"make bench AREA={path.stem}",
        "figures": list(figures),
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def run_area(area: str, quick: bool, out: Path, console: Console | None = None) -> list[Figure]:
    """Runs all benchmarks of an area, prints and writes their figures. One that breaks off leaves the others be.

    Returns:
        The figures. A benchmark that broke off has one without a value, `AREA.NAME`, whose note says why. None where a
        library is not installed that the area needs; that is printed, and no file is written.

    Raises:
        KeyError: no such area.
    """
    console = console or Console()
    figures: list[Figure] = []
    library, command = NEEDS.get(area, ("", ""))
    if library and importlib.util.find_spec(library) is None:
        console.print(f"[bold]{area}[/bold]: left out, it needs {library}: {command}")
        return []
    for name in AREAS[area]:
        console.print(f"[bold]{area}[/bold]: {name}")
        begun = time.monotonic()
        try:
            figures += importlib.import_module(f"benchmarks.{name}").figures(quick)
        except (Exception, SystemExit) as error:
            console.print_exception()
            figures.append(broken(area, name, error))
        console.print(f"[dim]{name}: {time.monotonic() - begun:.0f} s[/dim]")
    show(figures, console)
    write(out / f"{area}.json", figures)
    return figures


def broken(area: str, name: str, error: BaseException) -> Figure:
    """Stands for the figures of a benchmark that broke off."""
    note = f"broke off: {type(error).__name__}: {error}"
    return Figure(id=f"{area}.{name}", what=name, value=None, unit="", goal="", baseline=None, met=False, note=note)


def main(measure: Callable[[bool], Sequence[Figure]], area: str) -> int:
    """Command line of one benchmark module."""
    parser = argparse.ArgumentParser(description=f"Measures {area}.")
    parser.add_argument("--quick", action="store_true", help="answer in about a minute")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="folder of the JSON file")
    options = parser.parse_args()
    figures = list(measure(options.quick))
    show(figures)
    write(options.out / f"{area}.json", figures)
    return 0
