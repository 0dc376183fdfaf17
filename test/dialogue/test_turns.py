from __future__ import annotations

from typing import Any

from bbia_ros.dialogue.answers import Action
from bbia_ros.dialogue.deeds import Clients, Deeds, look_goal
from bbia_ros.dialogue.turns import Newest, Outcome, Progress, Turn
from bbia_ros.dialogue.voice import Voice


def test_a_turn_that_never_began_ends_with_its_cancel() -> None:
    ends: list[Outcome] = []
    turn = Turn("hello", on_end=ends.append)
    turn.cancel("superseded")
    turn.cancel("again")
    assert not turn.begin()
    assert [(end.ok, end.message) for end in ends] == [(False, "superseded")]


def test_a_running_turn_is_told_to_stop_and_ends_once() -> None:
    ends: list[Outcome] = []
    stops: list[str] = []
    turn = Turn("hello", on_end=ends.append)
    assert turn.begin()
    turn.while_running(lambda: stops.append("stop"))
    turn.cancel("superseded")
    assert (stops, ends) == (["stop"], [])
    turn.while_running(lambda: stops.append("late"))
    assert stops == ["stop", "late"]  # work that begins after the cancel is stopped too
    turn.finish(Outcome(True))
    turn.finish(Outcome(False))
    assert [end.ok for end in ends] == [True]


def test_the_newest_turn_wins() -> None:
    newest, first, second = Newest(), Turn("one"), Turn("two")
    assert not newest.cancel("nothing there")
    newest.take(first)
    newest.take(second)
    assert (first.cancelled, second.cancelled) == ("superseded by a newer request", "")
    assert newest.cancel("stop")
    assert not newest.cancel("stop")


def test_progress_loses_no_piece() -> None:
    sent: list[tuple[str, str]] = []
    progress = Progress(lambda delta, whole: sent.append((delta, whole)))
    for end in range(1, 6):
        progress.add("abcde"[end - 1], "abcde"[:end])
    progress.flush()
    progress.flush()
    assert "".join(delta for delta, _ in sent) == "abcde"
    assert sent[-1][1] == "abcde"


class Done:
    """An rclpy future that is done, or will be."""

    def __init__(self, value: Any = None) -> None:
        self.value, self.callbacks, self.ready = value, list[Any](), value is not None

    def add_done_callback(self, callback: Any) -> None:
        callback(self) if self.ready else self.callbacks.append(callback)

    def set(self, value: Any) -> None:
        self.value, self.ready = value, True
        for callback in self.callbacks:
            callback(self)

    def result(self) -> Any:
        return self.value


class Result:
    def __init__(self, ok: bool = True, message: str = "", interrupted: bool = False) -> None:
        self.ok, self.message, self.interrupted, self.result = ok, message, interrupted, self


class Handle:
    def __init__(self, accepted: bool = True) -> None:
        self.accepted, self.cancelled, self.done = accepted, False, Done()

    def get_result_async(self) -> Done:
        return self.done

    def cancel_goal_async(self) -> None:
        self.cancelled = True


class Client:
    """An action or service client of the test."""

    def __init__(self, ready: bool = True, accepts: bool = True, response: Any = None) -> None:
        self.ready, self.accepts, self.response = ready, accepts, response or Result()
        self.goals: list[Any] = []
        self.handles: list[Handle] = []

    def server_is_ready(self) -> bool:
        return self.ready

    service_is_ready = server_is_ready

    def send_goal_async(self, goal: Any) -> Done:
        self.goals.append(goal)
        self.handles.append(Handle(self.accepts))
        return Done(self.handles[-1])

    def call_async(self, request: Any) -> Done:
        self.goals.append(request)
        return Done(self.response)


def make_voice(client: Client) -> tuple[Voice, list[str], list[str]]:
    interrupted: list[str] = []
    problems: list[str] = []
    voice = Voice(client, lambda *goal: goal, lambda run: run(), interrupted.append, problems.append)
    return voice, interrupted, problems


def test_voice_is_quiet_when_every_sentence_is_over() -> None:
    client, calls = Client(), list[str]()
    voice, interrupted, _ = make_voice(client)
    voice.say("One.", "en", "t1", "t1-1")
    voice.say("Two.", "en", "t1", "t1-2")
    voice.when_quiet(lambda: calls.append("quiet"))
    assert client.goals == [("One.", "t1-1", "en", False), ("Two.", "t1-2", "en", False)]
    client.handles[0].done.set(Result())
    assert voice.busy
    assert calls == []
    client.handles[1].done.set(Result(interrupted=True))
    assert calls == ["quiet"]
    assert interrupted == ["t1"]


def test_another_answer_cuts_the_last_one_off() -> None:
    client = Client()
    voice, interrupted, _ = make_voice(client)
    voice.say("One.", "en", "t1", "t1-1")
    voice.say("New.", "en", "t2", "t2-1")
    assert client.goals[1][3] is True
    voice.stop()
    assert [handle.cancelled for handle in client.handles] == [True, True]
    client.handles[0].done.set(Result(ok=False, interrupted=True))
    assert interrupted == []  # stopped on purpose


def test_voice_tells_why_nothing_is_heard() -> None:
    for client, part in ((Client(ready=False), "nobody offers"), (Client(accepts=False), "refused")):
        calls: list[str] = []
        voice, _, problems = make_voice(client)
        voice.say("One.", "en", "t1", "t1-1")
        voice.when_quiet(lambda calls=calls: calls.append("quiet"))
        assert calls == ["quiet"]
        assert part in problems[0]


def make_deeds(**clients: Client) -> tuple[Deeds, dict[str, Client], list[str], list[Any]]:
    every = {name: clients.get(name, Client()) for name in Clients.__dataclass_fields__}
    problems: list[str] = []
    waiting: list[Any] = []
    return Deeds(Clients(**every), lambda _, text: problems.append(text), waiting.append), every, problems, waiting


def test_deeds_reach_their_nodes() -> None:
    deeds, clients, problems, _ = make_deeds()
    deeds.do(Action("look_at", {"target": "apple"}), 1.0)
    deeds.do(Action("play_move", {"move": "nod"}), 1.0)
    deeds.do(Action("express", {"label": "happy", "intensity": 0.9}), 1.0)
    deeds.do(Action("stop"), 1.0)
    assert clients["look_at"].goals[0].target == "apple"
    assert clients["play_move"].goals[0].name == "nod"
    assert clients["express"].goals[0].label == "happy"
    assert len(clients["stop_motion"].goals) == 1
    assert problems == []


def test_the_mode_changes_once_after_the_last_words_or_when_they_take_too_long() -> None:
    deeds, clients, _, waiting = make_deeds()
    deeds.do(Action("set_mode", {"mode": "sleep"}), 100.0)
    assert clients["set_mode"].goals == []
    deeds.tick()
    assert clients["set_mode"].goals == []
    waiting.pop()()
    deeds.tick()
    assert [goal.mode for goal in clients["set_mode"].goals] == ["sleep"]
    deeds.do(Action("set_mode", {"mode": "sleep"}), 0.0)
    deeds.tick()
    waiting.pop()()
    assert len(clients["set_mode"].goals) == 2


def test_a_person_who_speaks_again_keeps_the_robot_awake() -> None:
    deeds, clients, _, waiting = make_deeds()
    deeds.do(Action("set_mode", {"mode": "sleep"}), 0.0)
    deeds.forget_mode()
    deeds.tick()
    waiting.pop()()
    assert clients["set_mode"].goals == []


def test_deeds_that_fail_are_told() -> None:
    deeds, _, problems, _ = make_deeds(
        look_at=Client(ready=False), play_move=Client(accepts=False), express=Client(response=Result(False, "no"))
    )
    deeds.do(Action("look_at", {"target": "apple"}), 1.0)
    deeds.do(Action("play_move", {"move": "nod"}), 1.0)
    deeds.do(Action("express", {"label": "happy", "intensity": 0.9}), 1.0)
    assert ["motion/look_at" in problems[0], "refused" in problems[1], "no" in problems[2]] == [True] * 3


def test_left_is_positive_y_and_up_positive_z() -> None:
    left, up = look_goal({"direction": "left"}).point, look_goal({"direction": "up"}).point
    assert left.header.frame_id == "head_neutral"
    assert left.point.y > 0.5
    assert up.point.z > 0.3
    assert abs(up.point.y) < 1e-9
