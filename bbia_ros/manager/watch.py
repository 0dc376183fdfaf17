"""Who is alive: heartbeats of the nodes against a steady clock, and the processes they come from. No ROS in here."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Sign:
    """The last sign of life of a node.

    Attributes:
        pid: of its process; 0 before the first sign.
        process: name of the process in the composition.
        fault: what the node says is wrong with it; empty: nothing.
        seen: [s] steady clock.
        alive: False from the moment it was reported as lost until its next heartbeat.
        local: its pid was found on this machine.
    """

    pid: int
    process: str
    fault: str
    seen: float
    alive: bool
    local: bool


def process_exists(pid: int) -> bool:
    """Whether a process with this pid runs on this machine (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


class Watch:
    """Owns the signs of life. Tells a process that ended from one that hangs."""

    def __init__(self, timeout_s: float, exists: Callable[[int], bool] = process_exists) -> None:
        self.signs: dict[str, Sign] = {}
        self.timeout_s = timeout_s
        self._exists = exists
        self._checked = float("-inf")

    def heartbeat(self, node: str, pid: int, process: str, fault: str, now: float) -> bool:
        """Notes a sign of life; True if the node is new, back, or another process than before."""
        sign = self.signs.get(node)
        if sign is not None and sign.pid == pid:
            back = not sign.alive
            sign.seen, sign.alive, sign.fault, sign.process = now, True, fault, process
            return back
        self.signs[node] = Sign(pid, process, fault, now, alive=True, local=self._exists(pid))
        return True

    def grant(self, process: str, now: float) -> None:
        """A transition in `process` has ended: its nodes may have been silent meanwhile; their time starts anew."""
        for sign in self.signs.values():
            if sign.process == process and sign.alive:
                sign.seen = max(sign.seen, now)

    def check(self, now: float, busy: Collection[str] = ()) -> list[tuple[str, str]]:
        """Nodes that have just been lost, each with a clause saying why.

        Args:
            now: [s] steady clock.
            busy: processes in which a transition runs; its own timeout watches them, and a long one silences the
                heartbeats of all nodes in the process.
        """
        stalled = max(0.0, now - self._checked - 0.5) if self._checked > float("-inf") else 0.0
        self._checked = now
        lost = []
        for node, sign in self.signs.items():
            if not sign.alive:
                continue
            # When this process itself did not run, the others' heartbeats wait in our queue.
            sign.seen += stalled
            if sign.local and not self._exists(sign.pid):
                lost.append((node, f"its process {sign.process} (pid {sign.pid}) has ended"))
                sign.alive = False
            elif now - sign.seen > self.timeout_s and sign.process not in busy:
                hint = "still runs, so it hangs" if sign.local else "may have ended, or the network"
                silence = f"no sign of life for {now - sign.seen:.1f} s"
                lost.append((node, f"{silence}; its process {sign.process} (pid {sign.pid}) {hint}"))
                sign.alive = False
        return lost
