"""The manager node: brings the stack into modes, watches over its nodes, and tells how it is.

It is a lifecycle node like the others, with the same heartbeat, diagnostics and parameters, except that it starts by
itself: nobody else would start it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lifecycle_msgs.msg import State, TransitionEvent
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile

from bbia_ros.manager.governor import Settings
from bbia_ros.manager.memo import Memo
from bbia_ros.manager.mode_file import ModeFile
from bbia_ros.manager.model_requests import ModelRequests
from bbia_ros.manager.modes import ModesError, ModeTable, ParameterValue, load_modes
from bbia_ros.manager.parameters import ManagerParameters, limits_of, settings_of
from bbia_ros.manager.plan import Step
from bbia_ros.manager.reconciler import Reconciler
from bbia_ros.manager.relief import Relief
from bbia_ros.manager.remote import STATE_NAMES, RemoteNode
from bbia_ros.manager.report import stack_status
from bbia_ros.manager.requests import Requests
from bbia_ros.manager.waits import NoAnswer, Waits, unless_abandoned
from bbia_ros.manager.watch import Watch
from bbia_ros.msg import Heartbeat, Residency, StackStatus
from bbia_ros.residency.errors import LedgerError
from bbia_ros.residency.limits import Limits
from bbia_ros.resources import shared_folder
from bbia_ros.ros import qos
from bbia_ros.ros.context import ProcessContext
from bbia_ros.ros.lifecycle import BbiaNode, ConfigurationError
from bbia_ros.srv import FreeMemory, ManageNodes, ModelCommand, SetMode, UseModel

TICK_S = 0.2
"""Period of the check of heartbeats and deadlines."""
STATUS_S = 1.0
"""The status is published at least this often."""
STATUS_GAP_S = 0.04
"""And at most this often: changes within it share one message."""
GREET_S = 5.0
"""How long a node that appeared may take to say its state."""


class ManagerNode(BbiaNode[ManagerParameters]):
    """Owns the supervision and its parts: requests, reconciler, watch, relief.

    Does not own processes: who started them restarts them.
    """

    parameters_type = ManagerParameters
    holds_models = False

    def __init__(self, context: ProcessContext) -> None:
        super().__init__("manager", context)
        self._residencies: dict[str, Residency] = {}
        self._remotes: dict[str, RemoteNode] = {}
        self._labels: dict[str, str] = {}
        self._runs: dict[str, object] = {}
        self._asking: set[str] = set()
        self._waits = Waits(self)
        self._published = 0.0
        self._publish_waits = False
        self.later(0.001, self._start_by_itself)

    def _start_by_itself(self) -> None:
        if self._state_machine.current_state[0] == State.PRIMARY_STATE_UNCONFIGURED:
            self.trigger_configure()
        if self._state_machine.current_state[0] == State.PRIMARY_STATE_INACTIVE:
            self.trigger_activate()

    # Lifecycle -----------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        """Reads the modes; creates the status and the services."""
        try:
            self._whole = load_modes(Path(self.params.modes_file or shared_folder("config") / "modes.yaml"))
            self._table: ModeTable = self._whole.only(self.params.nodes) if self.params.nodes else self._whole
            if self.params.mode:
                self._table.mode(self.params.mode)
        except ModesError as error:
            raise ConfigurationError(str(error)) from error
        self._settings(self.params)
        self._mode_file = ModeFile(self.params.mode_file)
        self._status = self.make_publisher(StackStatus, "manager/status", qos.STATE)
        self.make_service(SetMode, "manager/set_mode", self._set_mode)
        self.make_service(ManageNodes, "manager/manage_nodes", self._manage_nodes)
        models = ModelRequests(self, self._residencies, self._remotes, lambda task: self._relief.variant_asked(task))
        self.make_service(ModelCommand, "manager/reset_model", models.reset)
        self.make_service(UseModel, "manager/use_model", models.use)
        self.make_service(FreeMemory, "manager/free_memory", models.free)

    def activate(self) -> None:
        """Begins to watch the nodes, and enters the first mode."""
        rules, now = self._table.rules, time.monotonic()
        self._watch = Watch(self.params.heartbeat_timeout_s)
        self._reconciler = Reconciler(rules, self._launch, time.monotonic, self.params.appear_timeout_s)
        self._remotes.update({name: RemoteNode(name, self, self._waits) for name in rules})
        self._published = now
        for name in rules:
            self.make_subscription(Heartbeat, f"{name}/heartbeat", self._on_heartbeat, qos.heartbeat())
            self.make_subscription(Residency, f"{name}/residency", self._on_residency, qos.STATE)
            self.make_subscription(
                TransitionEvent, f"{name}/transition_event", partial(self._on_transition, name),
                QoSProfile(depth=10),
            )  # fmt: skip
        self.make_subscription(Residency, "manager/residency", self._on_residency, qos.STATE)
        self.make_timer(TICK_S, self._tick)
        self._relief = Relief(
            self, self._reconciler, self._remotes, self._residencies, self._waits, self._changed,
            Path(self.params.pressure.root), Memo(self._mode_file.beside("given_up")),
        )  # fmt: skip
        self._govern(self.params)
        self._relief.start()
        self._requests = Requests(
            self, self._table, self._reconciler, self._relief, self._mode_file, self._changed
        )  # fmt: skip
        kept = self._mode_file.read(self._table.modes)
        if kept:
            self._relief.restore()
        if kept or self.params.mode:
            self._requests.enter(kept or self.params.mode, self.params.request_timeout_s)

    def deactivate(self) -> None:
        """Answers whoever waits; the nodes stay as they are."""
        self._reconciler.abandon("the manager was deactivated")
        self._waits.abandon()
        self._relief.stop()
        for store in (self._residencies, self._labels, self._runs, self._remotes):
            store.clear()
        self._asking.clear()

    # Limits --------------------------------------------------------------------------------------------------------

    def parameters_changed(self, new: ManagerParameters) -> None:
        """Limits and the governor's settings change at once."""
        self._settings(new)
        if self.active:
            self._govern(new)

    def _settings(self, parameters: ManagerParameters) -> Settings:
        return settings_of(parameters, self._table.rules, self._whole.rules)

    def _govern(self, parameters: ManagerParameters) -> None:
        limits = limits_of(parameters)
        self._relief.configure(self._settings(parameters), limits, parameters.pressure.enabled)
        self._relief.in_thread(lambda: self._enforce(limits))
        self._changed()

    def _enforce(self, limits: Limits) -> None:
        """Tells the pools of all processes what they may hold; waits for the ledger's lock."""
        try:
            self.process.ledger.set_limits(limits)
        except LedgerError as error:
            self.report_fault("limits", f"the limits are not in force everywhere: {error}")
        else:
            self.clear_fault("limits")

    # Requests ------------------------------------------------------------------------------------------------------

    def _set_mode(self, request: SetMode.Request, response: SetMode.Response) -> Any:
        if not self.active:
            return SetMode.Response(message="the manager is not active")
        return self._requests.set_mode(request, self.params.request_timeout_s)

    def _manage_nodes(self, request: ManageNodes.Request, response: ManageNodes.Response) -> Any:
        if not self.active:
            return ManageNodes.Response(message="the manager is not active")
        return self._requests.manage_nodes(request, self.params.request_timeout_s)

    # Steps ---------------------------------------------------------------------------------------------------------

    def _launch(self, step: Step, parameters: Mapping[str, ParameterValue]) -> None:
        run = self._runs[step.node] = object()
        timeout_s = self._table.rules[step.node].timeout_s or self.params.transition_timeout_s
        began = time.monotonic()

        def done(error: str, state: str) -> None:
            if self._runs.get(step.node) is not run or not self.active:
                return  # the node was lost meanwhile, or so were we
            del self._runs[step.node]
            self._labels.pop(step.node, None)
            sign = self._watch.signs.get(step.node)
            if sign is not None:
                self._watch.grant(sign.process, time.monotonic())
            if error:
                self.get_logger().error(f"{step}: {error}")
            self.figures.duration(step.action, time.monotonic() - began)
            self._reconciler.finished(step, error, state)
            self._requests.progress()

        work = self._remotes[step.node].carry_out(step, parameters, timeout_s, done)
        self.run_coroutine(unless_abandoned(work))

    # Observation ---------------------------------------------------------------------------------------------------

    def _on_heartbeat(self, message: Heartbeat) -> None:
        name, sign = message.node, self._watch.signs.get(message.node)
        if name not in self._remotes:
            return
        state = STATE_NAMES.get(message.state, "")
        if state == "finalized":
            self._gone(name, "has been shut down")
            return
        fault_changed = sign is None or sign.fault != message.fault
        if self._watch.heartbeat(name, message.pid, message.process, message.fault, time.monotonic()):
            self._runs.pop(name, None)
            if name in self._reconciler.present:
                self._reconciler.lost(name, "was started anew")
            self._ask_state(name, back=True)
        elif state and state != self._reconciler.present.get(name, state) and name not in self._reconciler.in_flight:
            self._ask_state(name, back=False)
        if fault_changed:
            self._changed()

    def _on_transition(self, name: str, event: TransitionEvent) -> None:
        state = STATE_NAMES.get(event.goal_state.id)
        if state == "finalized":
            self._gone(name, "has been shut down")
        elif state is None:
            self._labels[name] = event.goal_state.label
        else:
            self._labels.pop(name, None)
            if name not in self._reconciler.in_flight and self._reconciler.present.get(name, state) != state:
                self._ask_state(name, back=False)
        self._changed()

    def _ask_state(self, name: str, back: bool) -> None:
        """Asks a node where it stands: heartbeats and events may be older than our own last step."""
        if name in self._asking:
            return
        self._asking.add(name)

        async def ask() -> None:
            try:
                state = await self._remotes[name].state(GREET_S)
            except NoAnswer:
                state = ""
            self._asking.discard(name)
            if not self.active:
                return
            if back or name not in self._reconciler.present:
                if state in STATE_NAMES.values() and state != "finalized":
                    self._reconciler.returned(name, state)
                else:
                    self._watch.signs[name].alive = False  # the next heartbeat is another first one
            elif state and name not in self._reconciler.in_flight:
                self._reconciler.observed(name, state)
            self._requests.progress()

        self.run_coroutine(unless_abandoned(ask()))

    def _on_residency(self, message: Residency) -> None:
        old = self._residencies.get(message.node)
        self._residencies[message.node] = message
        if old is None or [(m.name, m.state, m.pid) for m in old.models] != [
            (m.name, m.state, m.pid) for m in message.models
        ]:
            self._changed()

    def _gone(self, name: str, reason: str) -> None:
        sign = self._watch.signs.get(name)
        if sign is not None and sign.alive:
            sign.alive = False
            self.get_logger().info(f"{name} {reason}")
        self._forget(name, reason)

    def _forget(self, name: str, reason: str) -> None:
        self._runs.pop(name, None)
        self._labels.pop(name, None)
        self._residencies.pop(name, None)
        if name in self._reconciler.present:
            self._reconciler.lost(name, reason)
        self._changed()

    # Time ----------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = time.monotonic()
        self._waits.expire(now)
        signs = self._watch.signs
        busy = {signs[node].process for node in self._reconciler.in_flight if node in signs}
        for name, reason in self._watch.check(now, busy):
            self.get_logger().error(f"{name} is lost: {reason}")
            self._forget(name, reason)
        self._reconciler.tick()
        if now - self._published >= STATUS_S:
            self._publish()

    def _changed(self) -> None:
        """The status has changed: it is published at once, or together with the changes of the next moment."""
        if self._publish_waits or not self.active:
            return
        self._publish_waits = True
        self.later(max(0.001, STATUS_GAP_S - (time.monotonic() - self._published)), self._publish)

    def _publish(self) -> None:
        self._publish_waits = False
        if not self.active:
            return
        self._published = time.monotonic()
        status = stack_status(
            stamp=self.now(), mode=self._requests.mode, target_mode=self._requests.target, process=self.process.name,
            nodes=self._table.rules, reconciler=self._reconciler, watch=self._watch, transitions=self._labels,
            residencies=self._residencies, limits=limits_of(self.params), relief=self._relief,
        )  # fmt: skip
        self._status.publish(status)

    # Host of the remote nodes ----------------------------------------------------------------------------------------

    def fault_of(self, node: str) -> str:
        """What the node's last heartbeat says is wrong; empty: nothing."""
        sign = self._watch.signs.get(node)
        return sign.fault if sign is not None else ""

    def parameter_message(self, name: str, value: ParameterValue) -> Any:
        """A parameter as rcl_interfaces/Parameter."""
        return Parameter(name, value=value).to_parameter_msg()


def main() -> int:
    """Runs the manager in a process of its own."""
    from bbia_ros.ros.process import run_alone

    return run_alone("manager", ManagerNode)
