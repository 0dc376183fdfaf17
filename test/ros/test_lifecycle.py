"""The node base on a real graph, with a fake pool."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.action import ActionClient
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from bbia_ros.action import Chat
from bbia_ros.msg import Heartbeat, Utterance
from bbia_ros.residency import ModelSpec
from bbia_ros.residency.errors import WorkerDied
from bbia_ros.ros import qos
from bbia_ros.ros.context import ProcessContext
from bbia_ros.ros.lifecycle import BbiaNode, ConfigurationError
from bbia_ros.ros.parameters import param
from bbia_ros.ros.testing import FakePool, NodeRunner, wait_until
from bbia_ros.srv import ModelCommand

pytestmark = pytest.mark.heavy
SPEC = ModelSpec(name="echo:m", task="echo", engine="nowhere:Echo")


@dataclass(frozen=True)
class EchoParameters:
    gain: float = param(1.0, "gain", minimum=0.0, maximum=2.0)
    fail: str = param("", "where to fail", choices=("", "configure", "activate"), read_only=True)


class EchoNode(BbiaNode[EchoParameters]):
    parameters_type = EchoParameters

    def __init__(self, context: ProcessContext) -> None:
        super().__init__("echo", context)

    def configure(self) -> None:
        self.out = self.make_publisher(Utterance, "out", qos.EVENT)
        if self.params.fail == "configure":
            raise ConfigurationError("the cable is missing")
        self.make_service(Trigger, "boom", self._boom)
        self.make_service(Trigger, "wait", self._wait)
        self.make_action(Chat, "slow", self._slow, cancel=lambda handle: self.complete(self.waiting, "cancelled"))

    def activate(self) -> None:
        self.model = self.lease(SPEC)
        self.words = self.lane("echo", self._echo, depth=5)
        self.make_subscription(Utterance, "in", self.words.offer, qos.EVENT)
        if self.params.fail == "activate":
            raise ConfigurationError("the cable fell out")

    def _echo(self, message: Utterance) -> None:
        self.out.publish(Utterance(text=self.model.call("echo", message.text)))

    def _boom(self, request: Any, response: Any) -> Any:
        raise RuntimeError("bang")

    def _wait(self, request: Any, response: Any) -> Any:
        """Answers when the coroutine has seen the future done."""
        self.waiting, answer = self.future(), self.future()

        async def work() -> None:
            response.success, response.message = True, await self.waiting
            self.complete(answer, response)

        self.run_coroutine(work())
        return answer

    async def _slow(self, handle: Any) -> Chat.Result:
        self.waiting = self.future()
        text = await self.waiting
        return Chat.Result(ok=text == "done", message=text)


class Echo:
    def __init__(self) -> None:
        self.dead = False

    def echo(self, text: str) -> str:
        if self.dead:
            raise WorkerDied("worker of 'echo:m' (pid 1) ended with SIGKILL")
        return text.upper()


def lane_threads() -> int:
    return sum(t.name.startswith("echo.") for t in threading.enumerate())


def test_a_message_passes_only_while_active_any_number_of_times() -> None:
    pool = FakePool({"echo": Echo()})
    with NodeRunner(EchoNode, pool=pool) as run:
        answers = run.collect(Utterance, "out", qos.EVENT)
        assert run.configure()
        for _ in range(3):
            assert run.activate()
            source = run.publisher(Utterance, "in", qos.EVENT)
            wait_until(lambda: run.node.out.subscribers > 0, 5, "the probe's subscription")
            source.publish(Utterance(text="hello"))
            assert answers.wait().text == "HELLO"
            answers.clear()
            lease = pool.leases[SPEC.name]
            assert run.deactivate()
            assert lease.released
            assert lane_threads() == 0
            wait_until(lambda s=source: s.get_subscription_count() == 0, 5, "the subscription to go")
            assert not run.node.out.publish(Utterance(text="nobody hears this"))
            run.probe.destroy_publisher(source)
        assert run.cleanup()
        assert run.configure()
        assert run.activate()
        assert run.deactivate()


@pytest.mark.parametrize("where", ["configure", "activate"])
def test_a_failing_transition_says_why_and_leaves_nothing(where: str) -> None:
    with NodeRunner(EchoNode, pool=FakePool({"echo": Echo()}), parameters={"fail": where}) as run:
        beats = run.collect(Heartbeat, "echo/heartbeat", qos.heartbeat())
        assert run.configure() == (where == "activate")
        if where == "activate":
            assert not run.activate()
        assert "the cable" in beats.wait(lambda m: m.fault).fault
        assert lane_threads() == 0
        assert run.node.count_subscribers("/bbia/in") == 0


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"gain": 3.0}, "'gain' is 3.0, allowed is 0.0 to 2.0"),
        ({"gain": "x"}, "'gain' must be a number"),
        ({"gian": 1.0}, "did you mean 'gain'"),
    ],
)
def test_wrong_parameters_fail_configure_with_a_sentence(parameters: dict[str, Any], says: str) -> None:
    with NodeRunner(EchoNode, pool=FakePool({"echo": Echo()}), parameters=parameters) as run:
        assert not run.configure()
        assert says in run.node.faults()[0]


def test_parameters_change_at_run_time_within_their_range() -> None:
    with NodeRunner(EchoNode, pool=FakePool({"echo": Echo()})) as run:
        assert run.configure()
        assert run.node.set_parameters([Parameter("gain", value=1.5)])[0].successful
        assert run.node.params.gain == 1.5
        assert not run.node.set_parameters([Parameter("gain", value=2.5)])[0].successful
        assert not run.node.set_parameters([Parameter("fail", value="activate")])[0].successful
        assert run.node.params.gain == 1.5


def test_an_undeclared_parameter_is_refused_by_name() -> None:
    def refusal(node: Any, name: str) -> str:
        request = SetParameters.Request(parameters=[Parameter(name, value=1.5).to_parameter_msg()])
        result = node._parameter_service._set_parameters_callback(request, SetParameters.Response()).results[0]
        assert not result.successful
        return str(result.reason)

    with NodeRunner(EchoNode, pool=FakePool({"echo": Echo()})) as run:
        assert refusal(run.node, "gain") == "parameter 'gain' can be set once node echo is configured"
        assert run.configure()
        assert refusal(run.node, "gian") == "unknown parameter 'gian' for node echo; did you mean 'gain'?"


def test_a_dead_worker_is_a_fault_in_one_sentence_until_it_works_again() -> None:
    engine = Echo()
    with NodeRunner(EchoNode, pool=FakePool({"echo": engine})) as run:
        diagnostics = run.collect(DiagnosticArray, "/diagnostics", qos.EVENT)
        answers = run.collect(Utterance, "out", qos.EVENT)
        assert run.configure()
        assert run.activate()
        source = run.publisher(Utterance, "in", qos.EVENT)
        wait_until(lambda: run.node.out.subscribers > 0, 5, "the probe's subscription")
        engine.dead = True
        source.publish(Utterance(text="a"))
        status = diagnostics.wait(lambda m: "SIGKILL" in m.status[0].message).status[0]
        assert "\n" not in status.message
        assert status.name == "bbia/echo: state"
        engine.dead = False
        source.publish(Utterance(text="b"))
        assert answers.wait().text == "B"
        diagnostics.clear()
        assert diagnostics.wait(lambda m: m.status[0].message == "active")


def test_a_service_that_fails_answers_and_reports() -> None:
    with NodeRunner(EchoNode, pool=FakePool({"echo": Echo()})) as run:
        assert run.configure()
        answer = run.call(Trigger, "boom", Trigger.Request())
        assert not answer.success
        assert "bang" in answer.message
        assert any("bang" in fault for fault in run.node.faults())


def test_a_service_may_answer_later_and_serve_others_meanwhile() -> None:
    with NodeRunner(EchoNode, pool=FakePool({"echo": Echo()})) as run:
        assert run.configure()
        client = run.probe.create_client(Trigger, "wait")
        assert client.wait_for_service(10)
        future, done = client.call_async(Trigger.Request()), threading.Event()
        future.add_done_callback(lambda _: done.set())
        wait_until(lambda: hasattr(run.node, "waiting"), 5, "the request")
        assert "bang" in run.call(Trigger, "boom", Trigger.Request()).message
        assert not future.done()
        run.node.complete(run.node.waiting, "late")
        assert done.wait(10)
        assert future.result().message == "late"


def send(client: ActionClient) -> Any:
    done = threading.Event()
    future = client.send_goal_async(Chat.Goal(text="x"))
    future.add_done_callback(lambda _: done.set())
    assert done.wait(10)
    return future.result()


def result_of(handle: Any) -> Any:
    done = threading.Event()
    future = handle.get_result_async()
    future.add_done_callback(lambda _: done.set())
    assert done.wait(10)
    return future.result().result


def test_actions_are_refused_while_inactive_and_ended_by_deactivation() -> None:
    with NodeRunner(EchoNode, pool=FakePool({"echo": Echo()})) as run:
        assert run.configure()
        client = ActionClient(run.probe, Chat, "slow")
        assert client.wait_for_server(10)
        assert "not active" in result_of(send(client)).message
        assert run.activate()
        handle = send(client)
        wait_until(lambda: hasattr(run.node, "waiting"), 5, "the goal to start")
        run.node.complete(run.node.waiting, "done")
        assert result_of(handle).ok
        del run.node.waiting
        handle = send(client)
        wait_until(lambda: hasattr(run.node, "waiting"), 5, "the goal to start")
        assert run.deactivate()
        assert result_of(handle).message == "cancelled"


def test_unbounded_qos_overrides_are_refused() -> None:
    name = "qos_overrides./bbia/out.publisher.depth"
    with NodeRunner(EchoNode, pool=FakePool({"echo": Echo()}), parameters={name: 1000}) as run:
        assert not run.configure()
        assert "depth must be 1 to 100" in run.node.faults()[0]
    with NodeRunner(EchoNode, pool=FakePool({"echo": Echo()}), parameters={name: 20}) as run:
        assert run.configure()
        assert run.node.get_parameter(name).value == 20


def test_commands_about_a_strange_model_are_refused_with_the_names() -> None:
    with NodeRunner(EchoNode, pool=FakePool({"echo": Echo()})) as run:
        assert run.configure()
        assert run.activate()
        answer = run.call(ModelCommand, "echo/unload_model", ModelCommand.Request(name="nope"))
        assert not answer.ok
        assert "echo:m" in answer.message
        assert not run.call(ModelCommand, "echo/reset_model", ModelCommand.Request(name="nope")).ok
        assert run.call(ModelCommand, "echo/reset_model", ModelCommand.Request(name="echo:m")).ok


def test_later_runs_each_function_once_in_the_order_of_their_times() -> None:
    with NodeRunner(EchoNode, pool=FakePool({"echo": Echo()})) as run:
        seen: list[int] = []
        done = threading.Event()

        def book() -> None:
            run.node.later(0.3, done.set)
            for number in (3, 1, 2, 0):
                run.node.later(number * 0.02, lambda number=number: seen.append(number))
            run.node.later(0.01, lambda: 1 / 0)
            run.node.later(0.1, lambda: run.node.later(0.0, lambda: seen.append(4)))

        run.on_executor(book)
        assert done.wait(10)
        assert seen == [0, 1, 2, 3, 4]
        assert "division" in run.node.faults()[0]


def test_an_impossible_transition_is_refused_and_harms_nothing() -> None:
    with NodeRunner(EchoNode, pool=FakePool({"echo": Echo()})) as run:
        assert run.configure()
        assert run.activate()
        request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
        assert not run.call(ChangeState, "echo/change_state", request).success
        state = run.call(GetState, "echo/get_state", GetState.Request()).current_state
        assert state.label == "active"
        request.transition.id = Transition.TRANSITION_DEACTIVATE
        assert run.call(ChangeState, "echo/change_state", request).success


def test_a_transition_has_the_heap_trimmed_soon_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    trims: list[float] = []
    for name, value in (("SETTLE_S", 0.0), ("SAMPLE_S", 0.0), ("trim", lambda: trims.append(time.monotonic()))):
        monkeypatch.setattr(f"bbia_ros.ros.context.{name}", value)
    with NodeRunner(EchoNode, pool=FakePool({"echo": Echo()})) as run:
        seen = 0
        for transition in (lambda: True, run.configure, run.activate, run.deactivate):
            assert transition()
            # Every sample could trim; it does so once.
            wait_until(lambda seen=seen: run.process.pss_bytes() > 0 and len(trims) > seen, 5.0, "the trim")
            seen = len(trims)
            assert run.process.pss_bytes() > 0
            assert len(trims) == seen
    assert seen == 4
