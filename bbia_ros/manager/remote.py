"""One supervised node, seen from the manager: its transitions, parameters and models over services."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters

from bbia_ros.manager.modes import ParameterValue
from bbia_ros.manager.plan import ACTIVATE, CLEANUP, CONFIGURE, DEACTIVATE, TRANSITIONS, Step
from bbia_ros.manager.waits import NoAnswer, Waits
from bbia_ros.srv import ModelCommand, UseModel

STATE_NAMES = {
    State.PRIMARY_STATE_UNCONFIGURED: "unconfigured",
    State.PRIMARY_STATE_INACTIVE: "inactive",
    State.PRIMARY_STATE_ACTIVE: "active",
    State.PRIMARY_STATE_FINALIZED: "finalized",
}
_TRANSITION_IDS = {
    CONFIGURE: Transition.TRANSITION_CONFIGURE,
    ACTIVATE: Transition.TRANSITION_ACTIVATE,
    DEACTIVATE: Transition.TRANSITION_DEACTIVATE,
    CLEANUP: Transition.TRANSITION_CLEANUP,
}
RESEND_S = 0.5
"""An unanswered question about the state is asked again after this time: a new node may not hear us yet [s]."""
FAULT_WAIT_S = 0.3
"""How long a refused transition waits for the heartbeat that says why [s]."""


class Host(Protocol):
    """What this needs from the manager's node."""

    def make_client(self, kind: type[Any], name: str) -> Any:
        """A service client."""

    def fault_of(self, node: str) -> str:
        """What the node's last heartbeat says is wrong; empty: nothing."""

    def parameter_message(self, name: str, value: ParameterValue) -> Any:
        """A parameter as rcl_interfaces/Parameter."""


class RemoteNode:
    """Owns the service clients of one node. Every wait has an end, and no call blocks the executor."""

    def __init__(self, name: str, host: Host, waits: Waits) -> None:
        self.name = name
        self._host = host
        self._waits = waits
        self._get_state = host.make_client(GetState, f"{name}/get_state")
        self._change_state = host.make_client(ChangeState, f"{name}/change_state")
        self._set_parameters = host.make_client(SetParameters, f"{name}/set_parameters")
        self._commands = {
            command: host.make_client(ModelCommand, f"{name}/{command}_model") for command in ("unload", "reset")
        }
        self._use_model = host.make_client(UseModel, f"{name}/use_model")

    async def state(self, timeout_s: float) -> str:
        """Primary state, or the transition state it is in, as the node itself says.

        Raises:
            NoAnswer: nothing came back within `timeout_s`, though asked repeatedly.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise NoAnswer(f"no answer within {timeout_s:g} s")
            if not self._get_state.service_is_ready():
                await self._waits.pause(min(left, 0.05))
                continue
            try:
                future = self._get_state.call_async(GetState.Request())
                answer = await self._waits.answer(future, min(left, RESEND_S))
            except NoAnswer:
                self._get_state.remove_pending_request(future)
                continue
            state = answer.current_state
            return STATE_NAMES.get(state.id, str(state.label))

    async def carry_out(
        self, step: Step, parameters: Mapping[str, ParameterValue], timeout_s: float, done: Callable[[str, str], None]
    ) -> None:
        """Carries out one step and verifies where the node ended.

        Args:
            step: of this node.
            parameters: for a step that sets them.
            timeout_s: for the whole step.
            done: called once with (error, state); an empty error is success, an empty state unknown.
        """
        deadline = time.monotonic() + timeout_s
        error, state = "", ""
        try:
            state = await self.state(timeout_s)
            if step.action not in TRANSITIONS:
                error = await self._send_parameters(parameters, deadline)
            else:
                error, state = await self._change(step.action, state, deadline)
        except NoAnswer:
            error = f"no answer within {timeout_s:g} s"
        done(error, state)

    async def command_model(self, command: str, model: str, timeout_s: float) -> ModelCommand.Response:
        """Unloads or resets a model of this node; the response is not ok when the node does not answer."""
        client = self._commands[command]
        if not client.service_is_ready():
            return ModelCommand.Response(message=f"{self.name} is not running")
        future = client.call_async(ModelCommand.Request(name=model))
        try:
            answer: ModelCommand.Response = await self._waits.answer(future, timeout_s)
        except NoAnswer:
            client.remove_pending_request(future)
            return ModelCommand.Response(message=f"{self.name} did not answer within {timeout_s:g} s")
        return answer

    async def use_model(self, task: str, model: str, timeout_s: float) -> UseModel.Response:
        """Has this node use another model for a task; the response is not ok when the node does not answer."""
        if not self._use_model.service_is_ready():
            return UseModel.Response(message=f"{self.name} is not running")
        future = self._use_model.call_async(UseModel.Request(task=task, model=model))
        try:
            answer: UseModel.Response = await self._waits.answer(future, timeout_s)
        except NoAnswer:
            self._use_model.remove_pending_request(future)
            return UseModel.Response(message=f"{self.name} did not answer within {timeout_s:g} s")
        return answer

    async def _change(self, action: str, state: str, deadline: float) -> tuple[str, str]:
        source, target = TRANSITIONS[action]
        while state not in STATE_NAMES.values():
            # In a transition that somebody else began, or that was given up: its end is awaited.
            await self._waits.pause(0.05)
            state = await self.state(max(0.01, deadline - time.monotonic()))
        if state == target:
            return "", state
        if state != source:
            return f"it is {state}", state
        request = ChangeState.Request(transition=Transition(id=_TRANSITION_IDS[action]))
        future = self._change_state.call_async(request)
        try:
            answer = await self._waits.answer(future, deadline - time.monotonic())
            refused = not answer.success
        except NoAnswer:
            self._change_state.remove_pending_request(future)
            refused = False
            if await self.state(RESEND_S) != target:
                raise
        state = await self.state(max(RESEND_S, deadline - time.monotonic()))
        if state == target and not refused:
            return "", state
        return await self._reason(state), state

    async def _reason(self, state: str) -> str:
        for _ in range(round(FAULT_WAIT_S / 0.05)):
            if self._host.fault_of(self.name):
                break
            await self._waits.pause(0.05)
        return self._host.fault_of(self.name) or f"it refused and is {state}; its log says why"

    async def _send_parameters(self, values: Mapping[str, ParameterValue], deadline: float) -> str:
        names = list(values)
        request = SetParameters.Request(parameters=[self._host.parameter_message(name, values[name]) for name in names])
        future = self._set_parameters.call_async(request)
        try:
            answer = await self._waits.answer(future, deadline - time.monotonic())
        except NoAnswer:
            self._set_parameters.remove_pending_request(future)
            raise
        refused = [
            f"{name}: {result.reason or 'refused'}"
            for name, result in zip(names, answer.results, strict=True)
            if not result.successful
        ]
        return "; ".join(refused)
