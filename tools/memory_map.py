"""Shows where the memory of processes is: PSS by mapping, from /proc/PID/smaps.

    python tools/memory_map.py PID [PID ...]      one table per process; with --tree, their descendants too

`heap` is what malloc holds, `anonymous` all else without a file (Python's arenas, large blocks, data of libraries that
was written to), `stack` the stacks that threads have touched, and each file or shared memory segment has a line.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from pathlib import Path

_HEADER = re.compile(r"^[0-9a-f]+-[0-9a-f]+ (\S{4}) \S+ \S+ (\d+) *(.*)$")


def by_mapping(pid: int) -> dict[str, tuple[int, int]]:
    """What a process holds, per kind of mapping.

    Returns:
        name -> (PSS, private) in bytes, largest PSS first.

    Raises:
        OSError: there is no such process, or it may not be inspected.
    """
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    name = ""
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
        if match := _HEADER.match(line):
            name = _name(match[3])
        elif line.startswith("Pss:"):
            sums[name][0] += int(line.split()[1]) * 1024
        elif line.startswith(("Private_Clean:", "Private_Dirty:")):
            sums[name][1] += int(line.split()[1]) * 1024
    return {name: (pss, private) for name, (pss, private) in sorted(sums.items(), key=lambda item: -item[1][0])}


def _name(path: str) -> str:
    if path in ("", "[anon]") or path.startswith("[anon"):
        return "anonymous"
    if path.startswith("[stack"):
        return "stack"
    if path.startswith("["):
        return path.strip("[]")
    return path.removesuffix(" (deleted)").rsplit("/", 1)[-1]


def descendants(pid: int) -> list[int]:
    """The process and its children, their children, and so on."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(word) for word in task.read_text().split()]
    return found


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description="Shows where the memory of processes is.")
    parser.add_argument("pids", type=int, nargs="+", metavar="PID")
    parser.add_argument("--tree", action="store_true", help="their descendants too")
    parser.add_argument("--lines", type=int, default=15, help="of each table (default: 15)")
    options = parser.parse_args()
    pids = [one for pid in options.pids for one in (descendants(pid) if options.tree else [pid])]
    for pid in pids:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        rows = by_mapping(pid)
        total, private = (sum(row[i] for row in rows.values()) / 1e6 for i in (0, 1))
        print(f"{pid} {command[:100]}\n  {total:7.1f} MB PSS, {private:.1f} MB private")
        for name, (pss, own) in list(rows.items())[: options.lines]:
            print(f"  {pss / 1e6:7.1f} {own / 1e6:7.1f}  {name}")


if __name__ == "__main__":
    main()
