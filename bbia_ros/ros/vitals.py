"""What a node tells about itself in every lifecycle state: heartbeat, residency, diagnostics; model commands."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from lifecycle_msgs.msg import State

from bbia_ros.msg import Heartbeat, ModelStatus, Residency
from bbia_ros.residency import ModelInfo
from bbia_ros.residency.errors import ResidencyError
from bbia_ros.ros import qos
from bbia_ros.ros.coroutines import answer_later
from bbia_ros.ros.endpoints import NodePublisher
from bbia_ros.srv import ModelCommand

if TYPE_CHECKING:
    from bbia_ros.ros.lifecycle import BbiaNode

HEARTBEAT_S = 0.2
"""Period of the heartbeat; the manager's liveliness lease is a few of these [s]."""
LEVELS = {State.PRIMARY_STATE_ACTIVE: "active", State.PRIMARY_STATE_INACTIVE: "inactive",
          State.PRIMARY_STATE_UNCONFIGURED: "unconfigured", State.PRIMARY_STATE_FINALIZED: "finalized"}  # fmt: skip


class Vitals:
    """Publishes a node's signs of life from one 5 Hz timer.

    Owns: the topics <node>/heartbeat, <node>/residency, /diagnostics and the services <node>/unload_model and
    <node>/reset_model.
    Does not own: faults and figures, which it reads from the node.
    """

    def __init__(self, node: BbiaNode[Any]) -> None:
        self._node = node
        name = node.get_name()
        self._known_models: set[str] = set()
        self._beats = 0
        self._change_waits = False
        make = node.create_publisher
        self._heartbeat = NodePublisher(make(Heartbeat, f"{name}/heartbeat", qos.heartbeat()), node, always=True)
        self._residency = NodePublisher(make(Residency, f"{name}/residency", qos.STATE), node, always=True)
        self._diagnostics = NodePublisher(make(DiagnosticArray, "/diagnostics", qos.EVENT), node, always=True)
        commands = {"unload_model": self._unload, "reset_model": self._reset} if node.holds_models else {}
        self._services = [
            node.create_service(ModelCommand, f"{name}/{command}", answer) for command, answer in commands.items()
        ]
        for service in self._services:
            answer_later(service)
        self._timer = node.create_timer(HEARTBEAT_S, self._beat, clock=node._steady)
        self._stop_watching = node.process.watch_models(self.changed)

    def know_model(self, name: str) -> None:
        """From now on the model appears in this node's residency."""
        self._known_models.add(name)

    def changed(self) -> None:
        """Something worth telling at once has changed; callable from any thread. Many changes make one message."""
        if not self._change_waits:
            self._change_waits = True
            self._node.post(self._tell)

    def close(self) -> None:
        """Stops everything."""
        self._stop_watching()
        self._node.destroy_timer(self._timer)
        for service in self._services:
            self._node.destroy_service(service)
        for publisher in (self._heartbeat, self._residency, self._diagnostics):
            publisher.close(self._node)

    def models(self) -> list[ModelInfo]:
        """The pool's view of the models that this node has used."""
        return [info for info in self._node.process.models() if info.name in self._known_models]

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
        message.models = [self._model_status(info) for info in self.models()]
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
        for info in self.models():
            lines[f"model {info.name}"] = (
                f"{getattr(info.state, 'name', info.state)} {(info.pss_bytes or 0) / 1e6:.0f} MB"
            )
        lines |= node.figures.summary()
        for lane in node._lanes:
            lines[f"skipped {lane.name}"] = str(lane.skipped)
        status.values = [KeyValue(key=key, value=value) for key, value in lines.items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = node.now()
        self._diagnostics.publish(message)

    def _unload(self, request: ModelCommand.Request, response: ModelCommand.Response) -> Any:
        if not self._holds(request, response):
            return response
        if any(info.name == request.name and info.pinned for info in self.models()):
            response.message = f"'{request.name}' is pinned: it goes when its node is deactivated"
            return response
        answer = self._node.future()

        def unload() -> None:
            try:
                record = self._node.process.pool.unload(request.name)
            except ResidencyError as error:
                response.message = str(error)
            else:
                response.ok = True
                response.message = str(record) if record else f"'{request.name}' was not loaded"
                response.released_bytes = int(record.returned_bytes if record else 0)
            self._node.complete(answer, response)

        # Ending a worker takes a moment that the executor does not have.
        threading.Thread(target=unload, name="unload", daemon=True).start()
        return answer

    def _reset(self, request: ModelCommand.Request, response: ModelCommand.Response) -> ModelCommand.Response:
        if self._holds(request, response):
            try:
                self._node.process.pool.reset(request.name)
            except ResidencyError as error:
                response.message = str(error)
            else:
                response.ok, response.message = True, f"'{request.name}' may load again"
        return response

    def _holds(self, request: ModelCommand.Request, response: ModelCommand.Response) -> bool:
        if request.name in self._known_models:
            return True
        names = ", ".join(sorted(self._known_models)) or "none yet"
        response.message = f"{self._node.get_name()} holds no model '{request.name}'; its models: {names}"
        return False
