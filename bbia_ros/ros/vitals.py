"""What a node tells about itself in every lifecycle state: heartbeat, residency, diagnostics."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from lifecycle_msgs.msg import State

from bbia_ros.msg import Heartbeat, ModelStatus, Residency
from bbia_ros.residency import ModelInfo
from bbia_ros.ros import qos
from bbia_ros.ros.endpoints import NodePublisher
from bbia_ros.ros.model_commands import ModelCommands

if TYPE_CHECKING:
    from bbia_ros.ros.lifecycle import BbiaNode

HEARTBEAT_S = 0.2
"""Period of the heartbeat; the manager's liveliness lease is a few of these [s]."""
LEVELS = {State.PRIMARY_STATE_ACTIVE: "active", State.PRIMARY_STATE_INACTIVE: "inactive",
          State.PRIMARY_STATE_UNCONFIGURED: "unconfigured", State.PRIMARY_STATE_FINALIZED: "finalized"}  # fmt: skip


class Vitals:
    """Publishes a node's signs of life from one 5 Hz timer.

    Owns: the topics <node>/heartbeat, <node>/residency and /diagnostics, and the commands about models.
    Does not own: faults, figures and models, which it reads from the node.
    """

    def __init__(self, node: BbiaNode[Any]) -> None:
        self._node = node
        name = node.get_name()
        self._beats = 0
        self._change_waits = False
        make = node.create_publisher
        self._heartbeat = NodePublisher(make(Heartbeat, f"{name}/heartbeat", qos.heartbeat()), node, always=True)
        self._residency = NodePublisher(make(Residency, f"{name}/residency", qos.STATE), node, always=True)
        self._diagnostics = NodePublisher(make(DiagnosticArray, "/diagnostics", qos.EVENT), node, always=True)
        self._commands = ModelCommands(node) if node.holds_models else None
        self._timer = node.create_timer(HEARTBEAT_S, self._beat, clock=node._steady)
        self._stop_watching = node.process.watch_models(self.changed)

    def changed(self) -> None:
        """Something worth telling at once has changed; callable from any thread. Many changes make one message."""
        if not self._change_waits:
            self._change_waits = True
            self._node.post(self._tell)

    def state_changed(self) -> None:
        """A transition is over: told at once, and what it has left free in the heap goes back soon."""
        self._node.process.settle()
        self.changed()

    def close(self) -> None:
        """Stops everything."""
        self._stop_watching()
        self._node.destroy_timer(self._timer)
        if self._commands is not None:
            self._commands.close()
        for publisher in (self._heartbeat, self._residency, self._diagnostics):
            publisher.close(self._node)

    def _beat(self) -> None:
        self._beats += 1
        if self._beats % 5 == 0:
            self._publish_residency()
            self._publish_diagnostics()
        self._publish_heartbeat()

    def _tell(self) -> None:
        self._change_waits = False
        self._publish_heartbeat()
        self._publish_residency()

    def _state(self) -> int:
        return int(self._node._state_machine.current_state[0])

    def _publish_heartbeat(self) -> None:
        node = self._node
        self._heartbeat.assert_liveliness()
        self._heartbeat.publish(
            Heartbeat(stamp=node.now(), node=node.get_name(), pid=os.getpid(), process=node.process.name,
                      state=self._state(), fault="; ".join(node.faults()))
        )  # fmt: skip

    def _publish_residency(self) -> None:
        node = self._node
        message = Residency(
            node=node.get_name(), process=node.process.name, pid=os.getpid(), pss_bytes=node.process.pss_bytes()
        )
        message.header.stamp = node.now()
        message.models = [self._model_status(info) for info in node.models.infos()]
        self._residency.publish(message)

    def _model_status(self, info: ModelInfo) -> ModelStatus:
        last_used = Time()
        if info.last_used is not None:
            age = self._node.process.monotonic() - info.last_used
            stamp = self._node.get_clock().now().nanoseconds - int(age * 1e9)
            last_used.sec, last_used.nanosec = divmod(max(0, stamp), 1_000_000_000)
        return ModelStatus(
            name=info.name, node=self._node.get_name(), task=info.task, group=info.group, engine=info.engine,
            state=str(getattr(info.state, "name", info.state)), pid=info.pid or 0, pss_bytes=int(info.pss_bytes or 0),
            last_used=last_used, loads=info.loads, evictions=info.evictions, last_error=info.last_error or "",
            load_s=float(info.load_s or 0.0), last_release=str(info.last_release or ""),
            pinned=info.pinned, leaking=info.leaking, device=info.device, budget_bytes=info.budget_bytes,
            vram_bytes=info.vram_bytes, ttl_s=float(info.ttl_s), variants=self._node.models.variants(info.name),
        )  # fmt: skip

    def _publish_diagnostics(self) -> None:
        node = self._node
        faults = node.faults()
        state = LEVELS.get(self._state(), "in transition")
        status = DiagnosticStatus(
            level=DiagnosticStatus.ERROR if faults else DiagnosticStatus.OK,
            name=f"{node.get_namespace().strip('/')}/{node.get_name()}: state".lstrip("/"),
            message="; ".join(faults) or state,
            hardware_id="reachy_mini",
        )
        lines = {"state": state, "process": node.process.name}
        for info in node.models.infos():
            lines[f"model {info.name}"] = (
                f"{getattr(info.state, 'name', info.state)} {(info.pss_bytes or 0) / 1e6:.0f} MB"
            )
        for key, names in node.models.unavailable().items():
            lines[f"variants of {key} not here"] = ", ".join(names)
        lines |= node.figures.summary()
        for lane in node._lanes:
            lines[f"skipped {lane.name}"] = str(lane.skipped)
        status.values = [KeyValue(key=key, value=value) for key, value in lines.items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = node.now()
        self._diagnostics.publish(message)
