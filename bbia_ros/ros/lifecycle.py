"""The base of every node: the lifecycle contract in one place."""

from __future__ import annotations

import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar, Generic, TypeVar

from builtin_interfaces.msg import Time
from rclpy.action import ActionClient
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.task import Future

from bbia_ros.residency import Lease, ModelSlot, ModelSpec
from bbia_ros.residency.errors import AdmissionRefused, CallCancelled, LeaseReleased, ResidencyError
from bbia_ros.ros.actions import Goals, refuse
from bbia_ros.ros.alarm import Alarm
from bbia_ros.ros.context import ProcessContext
from bbia_ros.ros.coroutines import NodeFuture, answer_later, drive
from bbia_ros.ros.endpoints import NodePublisher, bounded_overrides
from bbia_ros.ros.faults import Faults
from bbia_ros.ros.figures import Figures
from bbia_ros.ros.forgiving import ForgivingLifecycleNode
from bbia_ros.ros.lane import Lane
from bbia_ros.ros.models import Engine, ModelChoice, ModelParameters
from bbia_ros.ros.node_models import NodeModels
from bbia_ros.ros.parameters import ParameterError, changed, declare
from bbia_ros.ros.vitals import Vitals

P = TypeVar("P")
Configured, Activated = "configured", "activated"
JOIN_S = 1.0
"""How long deactivation waits for a lane whose model calls have been cancelled [s]."""


class ConfigurationError(Exception):
    """Why a node cannot be configured, in one sentence."""


class BbiaNode(ForgivingLifecycleNode, Generic[P]):
    """A lifecycle node whose models are in memory only while it is active.

    Owns: parameters, every endpoint made through make_*, lanes, models, faults, figures, heartbeat and diagnostics.
    Does not own: the pool, the executor and the process (ProcessContext).

    Override points: `configure` (publishers, services, actions; no model, no heavy import), `activate` (subscriptions,
    timers, leases, lanes), `deactivate` and `cleanup` (only what the base does not undo itself) and
    `parameters_changed`. What `configure` made is destroyed after `cleanup`; what `activate` made, after `deactivate`.

    Attributes:
        holds_models: whether the node offers the commands about models; the manager has services of these names.
        params: the present parameters; set before `configure` is called.
        figures: measurements shown in /diagnostics.
        models: which models the node holds, and which it may choose among.
    """

    holds_models: ClassVar[bool] = True

    def __init__(self, name: str, context: ProcessContext) -> None:
        super().__init__(name, namespace=None, context=context.ros_context, cli_args=context.cli_args(name))
        self.params: P = self.parameters_type()
        self.process = context
        self.figures = Figures()
        self.active = False
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._made: dict[str, list[Callable[[], None]]] = {Configured: [], Activated: []}
        self._scope = Configured
        self._alarm: Alarm | None = None
        self._lanes: list[Lane[Any]] = []
        self._goals = Goals(self)
        self._faults = Faults(self.get_logger(), lambda: self.vitals.changed())
        self._watching_parameters = False
        self.models = NodeModels(self)
        self.vitals = Vitals(self)

    # Override points ---------------------------------------------------------------------------------------------

    def configure(self) -> None:
        """Creates publishers, services and actions. Raises ConfigurationError or ParameterError with one sentence."""

    def activate(self) -> None:
        """Creates subscriptions, timers, leases and lanes."""

    def deactivate(self) -> None:
        """Undoes what `activate` did beyond make_*, lease and lane. Subscriptions and timers are gone already."""

    def cleanup(self) -> None:
        """Undoes what `configure` did beyond make_*."""

    def parameters_changed(self, new: P) -> None:
        """A run-time change, before it takes effect. Raise ValueError with a sentence to refuse it."""

    # Endpoints ---------------------------------------------------------------------------------------------------

    def make_publisher(
        self, kind: type[Any], topic: str, profile: QoSProfile, *, always: bool = False
    ) -> NodePublisher:
        """A publisher that speaks only while the node is active, or with `always` in every state."""
        raw = self.create_publisher(kind, topic, profile, qos_overriding_options=bounded_overrides())
        publisher = NodePublisher(raw, self, always)
        self._made[self._scope].append(lambda: publisher.close(self))
        return publisher

    def make_subscription(
        self, kind: type[Any], topic: str, callback: Callable[[Any], None], profile: QoSProfile
    ) -> None:
        """A subscription whose callback is guarded: what it raises is logged and becomes a fault."""
        guarded = self.guarded(topic, callback)
        subscription = self.create_subscription(
            kind, topic, guarded, profile, qos_overriding_options=bounded_overrides()
        )
        self._made[self._scope].append(lambda: self.destroy_subscription(subscription))

    def make_timer(self, period_s: float, callback: Callable[[], None], *, steady: bool = True) -> Any:
        """A guarded timer on the steady clock, or on ROS time (simulated time included) with `steady=False`."""
        clock = self._steady if steady else self.get_clock()
        timer = self.create_timer(period_s, self.guarded("timer", callback), clock=clock)
        self._made[self._scope].append(lambda: self.destroy_timer(timer))
        return timer

    def make_service(self, kind: type[Any], name: str, callback: Callable[[Any, Any], Any]) -> None:
        """A service whose callback returns the response, or `self.future()` whose result will be the response.

        What the callback raises is logged and, where the response has them, answered as ok/success and message.
        """

        def answer(request: Any, response: Any) -> Any:
            try:
                return callback(request, response)
            except Exception as error:
                self.report_failure(name, error)
                return refuse(response, f"{name} failed: {error}")

        service = self.create_service(kind, name, answer)
        answer_later(service)
        self._made[self._scope].append(lambda: self.destroy_service(service))

    def make_client(self, kind: type[Any], name: str) -> Any:
        """A service client."""
        client = self.create_client(kind, name)
        self._made[self._scope].append(lambda: self.destroy_client(client))
        return client

    def make_action_client(self, kind: type[Any], name: str) -> ActionClient:
        """An action client."""
        client = ActionClient(self, kind, name)
        self._made[self._scope].append(client.destroy)
        return client

    def make_action(
        self,
        kind: type[Any],
        name: str,
        execute: Callable[[Any], Awaitable[Any]],
        *,
        accept: Callable[[Any], str | None] | None = None,
        cancel: Callable[[Any], None] | None = None,
    ) -> None:
        """An action server.

        Args:
            kind: action type whose result has ok and message.
            name: of the action.
            execute: coroutine of the goal handle that returns the result and has set the handle's end state, or left it
                to the base (succeed when ok, canceled when a cancel was asked for, else abort).
            accept: returns None, or one sentence why the goal is refused; asked only while the node is active.
            cancel: told of a goal handle that is to end early, by its client or by deactivation.
        """
        self._made[self._scope].append(self._goals.serve(kind, name, execute, accept, cancel))

    # Models and lanes --------------------------------------------------------------------------------------------

    def choose_model(
        self, key: str, parameters: ModelParameters, *, task: str, engines: dict[str, Engine], **more: Any
    ) -> ModelChoice:
        """Checks the models for a task, see `build_choice`; `slot` takes them into use."""
        return self.models.choose(key, parameters, task=task, engines=engines, **more)

    def slot(self, choice: ModelChoice) -> ModelSlot:
        """The right to call a task's model, which can be exchanged; released on deactivation."""
        return self.models.slot(choice)

    def lease(self, spec: ModelSpec) -> Lease:
        """The right to call one model while the node is active; released on deactivation."""
        return self.models.lease(spec)

    def lane(self, name: str, handler: Callable[[Any], None], depth: int = 1) -> Lane[Any]:
        """A thread for work that may wait for a model; closed and joined on deactivation. See ros/lane.py."""
        lane: Lane[Any] = Lane(
            f"{self.get_name()}.{name}",
            handler,
            depth,
            on_error=lambda error: self._lane_failed(name, error),
            on_success=lambda: self.clear_fault(name),
        )
        self._lanes.append(lane)
        return lane

    # Threads, time, faults ---------------------------------------------------------------------------------------

    def post(self, function: Callable[[], None]) -> None:
        """Runs a function soon in the executor's thread; callable from any thread. Dropped when nothing spins us."""
        executor = self.executor
        if executor is not None:
            executor.create_task(self.guarded("task", function))

    def future(self) -> Future:
        """A future that coroutines of this node may await; complete it with `complete` from any thread."""
        return NodeFuture(executor=self.executor)

    def run_coroutine(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Runs a coroutine, which awaits `self.future()`, in the executor's thread. What it raises is a fault."""

        def finished(_: Any, error: BaseException | None) -> None:
            if isinstance(error, Exception):
                self.report_failure("coroutine", error)

        self.post(lambda: drive(coroutine, self.later, finished))

    def later(self, delay_s: float, function: Callable[[], None]) -> None:
        """Runs a function once in the executor's thread after `delay_s`; to be called in that thread."""
        if self._alarm is None:
            self._alarm = Alarm(lambda period_s, ring: self.create_timer(period_s, ring, clock=self._steady))
        self._alarm.set(delay_s, self.guarded("timer", function))

    @staticmethod
    def complete(future: Future, result: Any) -> None:
        """Sets the result unless the future is done already."""
        if not future.done():
            future.set_result(result)

    def now(self) -> Time:
        """ROS time as a message."""
        return self.get_clock().now().to_msg()

    def report_fault(self, key: str, sentence: str) -> None:
        """Something does not work; shown in heartbeat and diagnostics until `clear_fault`. Logged once per change."""
        self._faults.report(key, sentence)

    def clear_fault(self, key: str) -> None:
        """The thing works again."""
        self._faults.clear(key)

    def faults(self) -> list[str]:
        """The sentences of all present faults."""
        return self._faults.sentences()

    def complain(self, key: str, sentence: str, every_s: float = 5.0) -> None:
        """Warns about bad input, at most once per `every_s` seconds for the same key; counts every occurrence."""
        self.figures.count(f"refused {key}")
        self._faults.complain(key, sentence, every_s)

    def guarded(self, what: str, callback: Callable[..., Any]) -> Callable[..., Any]:
        """The callback, except that what it raises is logged and becomes a fault."""

        def run(*args: Any) -> None:
            try:
                callback(*args)
            except Exception as error:
                self.report_failure(what, error)

        return run

    def report_failure(self, what: str, error: Exception) -> None:
        """Logs an exception with its traceback and makes it a fault."""
        self.get_logger().error(f"{what} failed:\n{''.join(traceback.format_exception(error))}")
        self.report_fault(what, f"{what} failed: {type(error).__name__}: {error}")

    def _lane_failed(self, name: str, error: Exception) -> None:
        if isinstance(error, (LeaseReleased, CallCancelled)):
            return  # we are being deactivated, or somebody cancelled on purpose
        if isinstance(error, AdmissionRefused):
            # The same sentence for every frame; who holds the memory now is told now and then.
            self.report_fault(name, f"{name}: there is no room in memory for its model")
            self.complain(name, f"{name}: {error}")
        elif isinstance(error, ResidencyError):
            self.report_fault(name, f"{name}: {error}")
        else:
            self.report_failure(name, error)

    # Transitions -------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Declares and validates the parameters and calls `configure`."""
        self._scope = Configured
        try:
            self.params = declare(self, self.parameters_type)
            if not self._watching_parameters:
                self.add_on_set_parameters_callback(self._on_set_parameters)
                self._watching_parameters = True
            self.configure()
        except (ConfigurationError, ParameterError) as error:
            return self._configuration_failed(str(error))
        except Exception as error:
            self.get_logger().error("".join(traceback.format_exception(error)))
            return self._configuration_failed(f"{type(error).__name__}: {error}")
        self.clear_fault("configure")
        self.vitals.state_changed()
        return super().on_configure(state)

    def _configuration_failed(self, sentence: str) -> TransitionCallbackReturn:
        self._undo(Configured)
        self.report_fault("configure", f"cannot be configured: {sentence}")
        return TransitionCallbackReturn.FAILURE

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Calls `activate`; everything made in it is undone when it fails."""
        self._scope = Activated
        self.figures.reset()
        self.active = True
        try:
            self.activate()
        except Exception as error:
            if not isinstance(error, (ConfigurationError, ResidencyError)):
                self.get_logger().error("".join(traceback.format_exception(error)))
            self._stand_down()
            self.report_fault("activate", f"cannot be activated: {error}")
            return TransitionCallbackReturn.FAILURE
        finally:
            self._scope = Configured
        self.clear_fault("activate")
        self.vitals.state_changed()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops intake, calls `deactivate`, cancels what is in flight and gives every model back. Never fails."""
        self._stand_down()
        self.vitals.state_changed()
        return super().on_deactivate(state)

    def _stand_down(self) -> None:
        self.active = False
        self._undo(Activated)
        self._goals.cancel()
        for lane in self._lanes:
            lane.close()
        self.guarded("deactivate", self.deactivate)()
        self.models.release()
        deadline = time.monotonic() + JOIN_S
        for lane in self._lanes:
            if not lane.join(max(0.0, deadline - time.monotonic())):
                self.report_fault("deactivate", f"a thread of {self.get_name()} did not stop within {JOIN_S} s")
        self._lanes.clear()
        self._faults.clear_all()

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Calls `cleanup` and destroys what `configure` made."""
        self.guarded("cleanup", self.cleanup)()
        self._undo(Configured)
        self.vitals.state_changed()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """From any state: deactivates and cleans up as far as there is something to do."""
        if self.active:
            self._stand_down()
        self.guarded("cleanup", self.cleanup)()
        self._undo(Configured)
        self.vitals.changed()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured with nothing left behind."""
        if self.active:
            self._stand_down()
        self._undo(Configured)
        return TransitionCallbackReturn.SUCCESS

    def _undo(self, scope: str) -> None:
        if scope == Configured:
            self.models.forget()
        while made := self._made[scope]:
            self.guarded("destroy", made.pop())()

    def _on_set_parameters(self, parameters: list[Parameter]) -> Any:
        from rcl_interfaces.msg import SetParametersResult

        try:
            new = changed(self.parameters_type, self.params, parameters)
            if new != self.params:
                self.parameters_changed(new)
                self.models.parameters_changed(self.params, new)
                self.params = new
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def destroy_node(self) -> None:
        """Ends whatever is left and destroys the node."""
        if self.active:
            self._stand_down()
        for scope in (Activated, Configured):
            self._undo(scope)
        self.vitals.close()
        super().destroy_node()
