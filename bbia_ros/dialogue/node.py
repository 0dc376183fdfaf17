"""The dialogue node: hears words, answers in words, sentences and deeds."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rclpy.type_support import check_for_type_support
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from bbia_ros.action import Chat, LookAt, PlayMove, Say
from bbia_ros.dialogue.conversation import Conversation, Done, Fault, Piece, Sentence, Surroundings
from bbia_ros.dialogue.deeds import Clients, Deeds
from bbia_ros.dialogue.memory import ConversationMemory
from bbia_ros.dialogue.parameters import DialogueParameters, engine_arguments
from bbia_ros.dialogue.prompt import PromptSettings
from bbia_ros.dialogue.scene import Scene, Thing
from bbia_ros.dialogue.turns import Newest, Outcome, Progress, Turn
from bbia_ros.dialogue.voice import Voice
from bbia_ros.msg import DetectionArray, DialogueTurn, Emotion, FaceArray, Utterance
from bbia_ros.residency.errors import CallCancelled, LeaseReleased
from bbia_ros.ros import qos
from bbia_ros.ros.context import ProcessContext
from bbia_ros.ros.lifecycle import BbiaNode
from bbia_ros.ros.models import Engine
from bbia_ros.ros.process import run_alone
from bbia_ros.srv import Express, SetMode

ENGINES = {
    "llama": Engine("bbia_ros.dialogue.chat_llama:LlamaChat", "xllamacpp", "pip install xllamacpp"),
    "transformers": Engine(
        "bbia_ros.dialogue.chat_transformers:TransformersChat",
        "transformers",
        "make torch",
        nvidia=True,
        load_timeout_s=360.0,  # the first time, a GGUF file is converted
    ),
    "openai": Engine("bbia_ros.dialogue.chat_openai:OpenAIChat"),
}
FEELING_S = 10.0
"""A reading of the person's feelings is told to the language model for this long [s]."""

PREFETCH_S = 30.0
"""A prefetched model is safe for so long, and the next prefetch waits that long [s]."""


class DialogueNode(BbiaNode[DialogueParameters]):
    """Turns speech/heard and dialogue/chat into dialogue/turns, speech/say goals and deeds of other nodes."""

    parameters_type = DialogueParameters

    def __init__(self, context: ProcessContext) -> None:
        super().__init__("dialogue", context)
        self.scene = Scene()
        self._newest = Newest()
        self._mood, self._feeling = "neutral", ("", 0.0)
        self._prefetched = -math.inf
        self._running: Turn | None = None

    # Lifecycle ---------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        """Checks the model; makes publishers, the chat action and the clients of other nodes."""
        p = self.params
        remote = p.chat.engine == "openai"
        self._models = self.choose_model(
            "chat",
            p.chat,
            task="chat",
            engines=ENGINES,
            group="language",
            arguments=engine_arguments(p),
            resolve_model=not remote,
            nice=15,  # someone waits for it, unlike for the next look at the table; its words wait for the voice (12)
        )
        for kind in (Utterance, DetectionArray, FaceArray, Emotion):
            check_for_type_support(kind)  # loading the first sensor message takes 0.15 s: not in activate
        self._turns = self.make_publisher(DialogueTurn, "dialogue/turns", qos.EVENT)
        self.make_action(Chat, "dialogue/chat", self._chat_goal, accept=_empty_text, cancel=self._cancel_goal)
        self.make_service(Trigger, "dialogue/reset", self._reset)
        say = self.make_action_client(Say, "speech/say")
        self._voice = Voice(
            say, _say_goal, self.post, self._interrupted, lambda sentence: self.complain("speech", sentence)
        )
        clients = Clients(
            look_at=self.make_action_client(LookAt, "motion/look_at"),
            play_move=self.make_action_client(PlayMove, "motion/play_move"),
            express=self.make_client(Express, "emotion/express"),
            set_mode=self.make_client(SetMode, "manager/set_mode"),
            stop_motion=self.make_client(Trigger, "motion/stop"),
        )
        self._deeds = Deeds(clients, self.complain, self._voice.when_quiet)
        self._goal_turns: dict[int, Turn] = {}

    def activate(self) -> None:
        """Opens the memory and listens."""
        p = self.params
        self._memory = ConversationMemory(
            _memory_folder(p.memory.folder) if p.memory.enabled else None,
            p.memory.max_messages,
            p.memory.compress_bytes,
            on_error=lambda sentence: self.report_fault("memory", sentence),
            on_recovery=lambda: self.clear_fault("memory"),
        )
        self._chat = self.slot(self._models)
        self._conversation = self._make_conversation(p)
        self._answering = self.lane("answer", self._answer)
        self.make_timer(1.0, self._deeds.tick)
        self.make_subscription(Utterance, "speech/heard", self._heard, qos.EVENT)
        self.make_subscription(DetectionArray, "perception/objects", self._see_objects, qos.EVENT)
        self.make_subscription(FaceArray, "perception/faces", self._see_faces, qos.EVENT)
        self.make_subscription(Emotion, "emotion/user", self._user_feels, qos.EVENT)
        self.make_subscription(Emotion, "emotion/robot", self._robot_feels, qos.STATE)

    def deactivate(self) -> None:
        """Breaks off the answer and closes the memory."""
        self._newest.cancel("the dialogue node is being deactivated")
        self._answering.join(0.3)  # so that what was said until now is remembered
        self._deeds.forget_mode()
        self._voice.stop_now()
        self._voice.forget()
        self.scene.clear()
        self._mood, self._feeling, self._prefetched = "neutral", ("", 0.0), -math.inf
        if not self._memory.close():
            self.get_logger().error("the last part of the conversation could not be saved")

    def parameters_changed(self, new: DialogueParameters) -> None:
        """New settings for the language model take effect with the next turn."""
        if self.active:
            self._conversation = self._make_conversation(new)

    def _make_conversation(self, p: DialogueParameters) -> Conversation:
        generation = p.generation
        prompt = PromptSettings(
            generation.persona, generation.history, generation.context_tokens, generation.answer_tokens
        )
        moves = {"dance": p.moves.dance, "nod": p.moves.nod}
        return Conversation(self._memory, prompt, self._generate, tuple(generation.languages), moves)

    # What comes in -----------------------------------------------------------------------------------------------

    def _heard(self, message: Utterance) -> None:
        text = message.text.strip()
        if not text:
            return
        if not message.final:
            self._newest.cancel("the person speaks")
            self._prefetch(text, message.language)
            return
        if message.confidence < self.params.minimum_confidence:
            self.figures.count("unsure utterances")
            return
        turn = Turn(text, message.language, self.params.speak)
        self._take(turn, message.id)

    def _take(self, turn: Turn, utterance: str = "") -> None:
        self._deeds.forget_mode()
        self._newest.take(turn)
        self._publish_turn(turn.id + "u", "user", turn.text, True, utterance=utterance)
        self.figures.tick("turns")
        self._answering.offer(turn)

    def _prefetch(self, text: str, language: str) -> None:
        now = time.monotonic()
        if not self.params.prefetch or now - self._prefetched < PREFETCH_S:
            return
        if self._conversation.needs_chat(text, language):
            self._prefetched = now
            self._chat.prefetch(PREFETCH_S)

    def _see_objects(self, message: DetectionArray) -> None:
        things = [
            Thing(detection.label, math.atan2(detection.bearing.y, detection.bearing.x))
            for detection in message.detections
            if detection.score >= self.params.minimum_score
        ]
        self.scene.see_things(things, time.monotonic())

    def _see_faces(self, message: FaceArray) -> None:
        self.scene.see_faces(len(message.faces), time.monotonic())

    def _user_feels(self, message: Emotion) -> None:
        if message.source == "text" and message.confidence >= 0.4:
            self._feeling = (message.label, time.monotonic())

    def _robot_feels(self, message: Emotion) -> None:
        self._mood = message.label

    def _reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = self.active, "a new conversation" if self.active else "not active"
        if self.active:
            self._newest.cancel("the conversation was reset")
            self._memory.start_anew()
        return response

    async def _chat_goal(self, handle: Any) -> Chat.Result:
        request, ended = handle.request, self.future()

        def tell(delta: str, whole: str) -> None:
            self.post(lambda: handle.publish_feedback(Chat.Feedback(delta=delta, text=whole)))

        def end(outcome: Outcome) -> None:
            progress.flush()
            self.post(lambda: self.complete(ended, outcome))

        progress = Progress(tell)
        turn = Turn(request.text.strip(), request.language, request.speak, progress.add, end)
        self._goal_turns[id(handle)] = turn
        try:
            self._take(turn)
            outcome: Outcome = await ended
        finally:
            self._goal_turns.pop(id(handle), None)
        return Chat.Result(
            ok=outcome.ok,
            message=outcome.message,
            text=outcome.text,
            source=outcome.source,
            tool=outcome.tool,
            tokens=outcome.tokens,
            tokens_per_s=outcome.tokens_per_s,
            first_token_s=outcome.first_token_s,
        )

    def _cancel_goal(self, handle: Any) -> None:
        if turn := self._goal_turns.get(id(handle)):
            turn.cancel("cancelled")

    # The answer (in the lane's thread) ---------------------------------------------------------------------------

    def _answer(self, turn: Turn) -> None:
        if not turn.begin():
            return
        feeling, when = self._feeling
        now = time.monotonic()
        around = Surroundings(self.scene.view(now), self._mood, feeling if now - when < FEELING_S else "")
        text, failure, sentences = "", "", 0
        done: Done | None = None
        first = f"{turn.id}-1" if turn.speak else ""  # so that the voice is there when its first clause comes
        partial = Progress(lambda _, whole: self._publish_turn(turn.id, "robot", whole, False, utterance=first))
        events = self._conversation.respond(turn.text, turn.language, around)
        self._running = turn
        try:
            for event in events:
                if turn.cancelled:
                    break
                if isinstance(event, Piece):
                    text += event.text
                    turn.on_progress(event.text, text)
                    partial.add(event.text, text)
                elif isinstance(event, Sentence) and turn.speak:
                    sentences += 1
                    self._voice.say(event.text, event.language, turn.id, f"{turn.id}-{sentences}")
                elif isinstance(event, Fault):
                    failure = event.reason
                    self.report_fault("chat", f"chat: {event.reason}")
                elif isinstance(event, Done):
                    done = event
        except (CallCancelled, LeaseReleased):
            pass  # taken away on purpose: the turn ends with what there is
        except Exception as error:
            turn.finish(Outcome(False, f"the answer failed: {error}", text))
            raise
        finally:
            events.close()  # type: ignore[attr-defined]
            turn.while_running(None)
        self._end(turn, text, done, failure, f"{turn.id}-{sentences}" if sentences else "")

    def _end(self, turn: Turn, text: str, done: Done | None, failure: str, utterance: str) -> None:
        if done is None:
            source = "chat" if text else ""
            self._publish_turn(turn.id, "robot", text, True, source, "", utterance)
            turn.finish(Outcome(False, turn.cancelled or "broken off", text, source))
            return
        if done.source == "chat" and not failure:
            self.clear_fault("chat")
            self.figures.duration("first token", done.first_token_s)
        rate = (done.tokens - 1) / max(1e-6, done.duration_s - done.first_token_s) if done.tokens > 1 else 0.0
        if rate:
            self.figures.value("tokens per second", rate)
        self.figures.duration("answer", time.monotonic() - turn.started)
        self._publish_turn(turn.id, "robot", done.text, True, done.source, done.tool, utterance)
        if done.action is not None:
            action, patience_s = done.action, self.params.sleep_wait_s
            self.post(lambda: self._deeds.do(action, patience_s) if self.active else None)
        turn.finish(
            Outcome(not failure, failure, done.text, done.source, done.tool, done.tokens, done.first_token_s, rate)
        )

    def _generate(self, prompt: list[dict[str, str]]) -> Iterator[str]:
        settings = self.params.generation
        stream = self._chat.stream(
            "chat",
            prompt,
            timeout_s=settings.timeout_s,
            max_tokens=settings.answer_tokens,
            temperature=settings.temperature,
            top_p=settings.top_p,
            repeat_penalty=settings.repeat_penalty,
            seed=settings.seed,
        )
        turn = self._running
        if turn is not None:
            turn.while_running(stream.cancel)
        try:
            yield from stream
        finally:
            if turn is not None:
                turn.while_running(None)
            stream.cancel()

    def _publish_turn(
        self, turn: str, role: str, text: str, final: bool, source: str = "", tool: str = "", utterance: str = ""
    ) -> None:
        self._turns.publish(
            DialogueTurn(
                header=Header(stamp=self.now()),
                id=turn,
                role=role,
                text=text,
                final=final,
                source=source,
                tool=tool,
                utterance_id=utterance,
            )
        )

    def _interrupted(self, turn: str) -> None:
        """A person spoke over the robot: it does not go on with that answer."""
        if self._running is not None and self._running.id == turn:
            self._running.cancel("the person speaks")


def _empty_text(goal: Chat.Goal) -> str | None:
    return None if goal.text.strip() else "the text is empty"


def _say_goal(text: str, utterance: str, language: str, interrupt: bool) -> Say.Goal:
    return Say.Goal(text=text, utterance_id=utterance, language=language, interrupt=interrupt)


def _memory_folder(folder: str) -> Path:
    if folder:
        return Path(folder).expanduser()
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(state) / "bbia_ros" / "dialogue"


def main() -> int:
    """Runs the dialogue node alone."""
    return run_alone("dialogue", DialogueNode)
