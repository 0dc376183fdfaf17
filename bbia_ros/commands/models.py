"""`bbia models`: which models are known, where they are, and whether they are whole."""

from __future__ import annotations

import argparse

SUMMARY = "list and check the models on this machine"
DESCRIPTION = """list shows the models known by name, with task, licence and size. check opens every file, or those
named, and says how to get what is missing. A model's name, or the path of a file of your own, goes into the parameter
`model` of its task. `bbia status` shows which models are in memory."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="list|check", required=True)
    listing = actions.add_parser("list", help="models known by name")
    listing.add_argument("--task", help="only those for this task")
    check = actions.add_parser("check", help="are the files there and whole?")
    check.add_argument("names", nargs="*", metavar="NAME", help="models to check (default: all)")


def run(arguments: argparse.Namespace) -> int:
    """Lists or checks."""
    return _list(arguments.task) if arguments.action == "list" else _check(arguments.names)


def _list(task: str | None) -> int:
    from rich.console import Console
    from rich.table import Table

    from bbia_ros.cli import WrongInput
    from bbia_ros.residency.catalog import CATALOG, ModelNotFound, locate

    tasks = sorted({entry.task for entry in CATALOG.values()})
    if task is not None and task not in tasks:
        raise WrongInput(f"unknown task '{task}'; known: {', '.join(tasks)}")
    table = Table("name", "task", "MB", "licence", "here", "about", box=None, pad_edge=False, header_style="dim")
    for entry in CATALOG.values():
        if task not in (None, entry.task):
            continue
        try:
            path = locate(entry)
            files = path.rglob("*") if path.is_dir() else [path]
            size = sum(file.stat().st_size for file in files if file.is_file())
            megabytes, here = f"{size / 1e6:.0f}", "[green]yes[/green]"
        except ModelNotFound:
            megabytes, here = "", "[red]no[/red]"
        table.add_row(entry.name, entry.task, megabytes, entry.licence, here, entry.about)
    Console().print(table)
    return 0


def _check(names: list[str]) -> int:
    from bbia_ros.cli import FAILED, WrongInput
    from bbia_ros.residency.catalog import CATALOG, ModelNotFound, locate

    for name in names:
        if name not in CATALOG:
            raise WrongInput(f"unknown model '{name}'; known: {', '.join(CATALOG)}")
    missing = 0
    for name in names or CATALOG:
        try:
            print(f"{name}: {locate(CATALOG[name])}")
        except ModelNotFound as error:
            missing += 1
            print(f"{name}: MISSING: {error}")
    return FAILED if missing else 0
