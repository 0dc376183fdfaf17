import random

import pytest

from bbia_ros.manager.modes import NodeRule
from bbia_ros.manager.plan import SET_PARAMETERS, TRANSITIONS, Step
from bbia_ros.manager.reconciler import Reconciler, Request

RULES = {
    "driver": NodeRule(),
    "motion": NodeRule(needs=("driver",)),
    "speech": NodeRule(needs=("driver",)),
    "dialogue": NodeRule(after=("speech",)),
}
ALL_ACTIVE = dict.fromkeys(RULES, "active")
ALL_INACTIVE = dict.fromkeys(RULES, "inactive")


class Bench:
    """A reconciler whose steps end when the test says so."""

    def __init__(self, states=None):
        self.now = 100.0
        self.launched: list[Step] = []
        self.open: list[Step] = []
        self.parameters: list = []
        self.answers: dict[str, tuple[bool, str]] = {}
        self.reconciler = Reconciler(RULES, self.launch, lambda: self.now)
        for node in RULES if states is None else states:
            self.reconciler.returned(node, states[node] if states else "unconfigured")

    def launch(self, step, parameters):
        assert step.node not in [other.node for other in self.open], "two steps of one node at once"
        state = self.reconciler.present
        if step.action == "activate":
            assert all(state[need] == "active" for need in RULES[step.node].needs)
        if step.action == "deactivate":
            assert not any(step.node in rule.needs and state.get(n) == "active" for n, rule in RULES.items())
        self.launched.append(step)
        self.open.append(step)
        if step.action == SET_PARAMETERS:
            self.parameters.append((step.node, dict(parameters)))

    def ask(self, label, wanted, **more):
        def answer(ok, message):
            assert label not in self.answers, "answered twice"
            self.answers[label] = (ok, message)

        self.reconciler.pursue(Request(label, wanted, answer, **more))

    def end(self, node, error="", state=""):
        step = next(step for step in self.open if step.node == node)
        self.open.remove(step)
        self.reconciler.finished(step, error, state)

    def end_all(self):
        while self.open:
            self.end(self.open[0].node)

    def pass_time(self, seconds):
        self.now += seconds
        self.reconciler.tick()


def test_all_nodes_come_up_in_order_and_the_answer_counts_transitions():
    bench = Bench()
    bench.ask("mode 'all'", ALL_ACTIVE)
    assert {step.action for step in bench.open} == {"configure"}
    assert len(bench.open) == 4
    bench.end("driver")
    bench.end("motion")
    assert Step("driver", "activate") in bench.open
    assert Step("motion", "activate") not in bench.open
    bench.end_all()
    ok, message = bench.answers["mode 'all'"]
    assert ok
    assert "8 transitions" in message
    assert bench.reconciler.present == ALL_ACTIVE
    assert bench.reconciler.settled


def test_nothing_to_do_is_answered_at_once():
    bench = Bench(ALL_INACTIVE)
    bench.ask("again", ALL_INACTIVE)
    assert bench.answers["again"][0]
    assert bench.launched == []


def test_the_last_request_wins_and_the_one_before_is_told():
    bench = Bench(ALL_INACTIVE)
    bench.ask("up", ALL_ACTIVE)
    assert bench.open == [Step("driver", "activate")]
    bench.ask("down", dict.fromkeys(RULES, "unconfigured"))
    assert bench.answers == {"up": (False, "superseded by down")}
    bench.end_all()
    assert bench.answers["down"][0]
    assert bench.reconciler.present == dict.fromkeys(RULES, "unconfigured")
    assert Step("motion", "activate") not in bench.launched


def test_one_failure_leaves_the_rest_in_place_and_is_named():
    bench = Bench(ALL_INACTIVE)
    bench.ask("up", ALL_ACTIVE)
    bench.end("driver")
    bench.end("speech", error="no such model 'whisper-huge'", state="inactive")
    bench.end_all()
    ok, message = bench.answers["up"]
    assert not ok
    assert message == "up is incomplete: speech: activate failed: no such model 'whisper-huge'"
    assert bench.reconciler.present == {**ALL_ACTIVE, "speech": "inactive"}


def test_what_needs_a_failed_node_waits_for_it():
    bench = Bench(ALL_INACTIVE)
    bench.ask("up", ALL_ACTIVE)
    bench.end("driver", error="no robot")
    bench.end_all()
    ok, message = bench.answers["up"]
    assert not ok
    assert "driver: activate failed: no robot" in message
    assert "motion: waits for driver" in message
    assert bench.launched == [Step("driver", "activate")]


def test_what_an_immovable_node_needs_stays_up():
    bench = Bench(ALL_ACTIVE)
    bench.ask("down", ALL_INACTIVE)
    bench.end("dialogue")
    bench.end("motion", error="no answer within 10 s", state="active")
    bench.end_all()
    ok, message = bench.answers["down"]
    assert not ok
    assert message.endswith("driver: waits for motion; motion: deactivate failed: no answer within 10 s")
    assert bench.reconciler.present == {**ALL_INACTIVE, "driver": "active", "motion": "active"}


def test_strict_stops_at_the_first_failure():
    bench = Bench()
    bench.ask("up", ALL_ACTIVE, strict=True)
    bench.end("dialogue", error="bad")
    launched = len(bench.launched)
    for node in ("driver", "motion", "speech"):
        bench.end(node)
    assert len(bench.launched) == launched
    assert not bench.answers["up"][0]


def test_a_new_request_tries_again_what_failed():
    bench = Bench(ALL_INACTIVE)
    bench.ask("up", {"driver": "active"})
    bench.end("driver", error="no robot")
    bench.ask("up again", {"driver": "active"})
    bench.end_all()
    assert bench.answers["up again"][0]


def test_a_lost_node_fails_only_itself_and_catches_up_when_it_is_back():
    bench = Bench(ALL_INACTIVE)
    up = {**ALL_ACTIVE}
    bench.ask("up", up, parameters={"motion": {"posture": "awake"}})
    bench.end_all()
    assert bench.answers["up"][0]
    bench.launched.clear()
    bench.reconciler.lost("motion", "its process has ended")
    assert not bench.reconciler.settled
    assert bench.launched == []
    bench.reconciler.returned("motion", "unconfigured")
    bench.end_all()
    assert [step.action for step in bench.launched] == ["configure", SET_PARAMETERS, "activate"]
    assert {step.node for step in bench.launched} == {"motion"}
    assert bench.parameters[-1] == ("motion", {"posture": "awake"})
    assert bench.reconciler.settled


def test_a_node_lost_in_mid_transition_is_awaited_then_named():
    bench = Bench(ALL_INACTIVE)
    bench.ask("up", ALL_ACTIVE)
    bench.end("driver")
    bench.reconciler.lost("speech", "its process brain (pid 7) has ended")
    bench.open = [step for step in bench.open if step.node != "speech"]
    bench.end_all()
    assert bench.answers == {}
    bench.pass_time(11)
    ok, message = bench.answers["up"]
    assert not ok
    assert "speech: its process brain (pid 7) has ended" in message
    assert bench.reconciler.present["dialogue"] == "active"


def test_a_node_that_never_came_is_named_after_the_wait():
    bench = Bench({"driver": "inactive"})
    bench.ask("up", {"driver": "active", "motion": "active"})
    bench.end_all()
    bench.pass_time(5)
    assert bench.answers == {}
    bench.pass_time(6)
    assert bench.answers["up"] == (False, "up is incomplete: motion: is not running: no sign of life yet")


def test_a_late_answer_of_a_step_given_up_changes_nothing():
    bench = Bench(ALL_INACTIVE)
    bench.ask("up", {"driver": "active"})
    step = bench.open.pop()
    bench.reconciler.lost("driver", "hangs")
    bench.reconciler.finished(step)
    assert "driver" not in bench.reconciler.present


def test_a_hand_from_outside_is_not_fought():
    bench = Bench(ALL_INACTIVE)
    bench.ask("up", ALL_ACTIVE)
    bench.end_all()
    bench.launched.clear()
    bench.reconciler.observed("speech", "inactive")
    bench.pass_time(30)
    assert bench.launched == []
    assert "not by the manager" in bench.reconciler.failures["speech"]
    bench.reconciler.observed("speech", "active")
    assert bench.reconciler.settled
    assert bench.reconciler.failures == {}


def test_a_request_out_of_time_is_answered_and_goes_on():
    bench = Bench(ALL_INACTIVE)
    bench.ask("up", {"driver": "active"}, timeout_s=3.0)
    bench.pass_time(4)
    assert bench.answers["up"] == (False, "up: not reached within 3 s: driver: still in 'activate'")
    bench.end_all()
    assert bench.reconciler.settled


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_it_settles_and_answers_everybody_once(seed):
    """Random requests, failures, crashes and returns; the Bench checks order and dependencies at each launch."""
    dice = random.Random(seed)
    bench = Bench()
    asked = 0
    for _ in range(200):
        event = dice.random()
        node = dice.choice(list(RULES))
        if event < 0.1:
            asked += 1
            wanted = dict.fromkeys(RULES, dice.choice(["unconfigured", "inactive", "active"]))
            if dice.random() < 0.5:
                wanted = {**ALL_ACTIVE, "speech": "inactive", "dialogue": "unconfigured"}
            bench.ask(f"request {asked}", wanted, strict=dice.random() < 0.3)
        elif event < 0.15 and node in bench.reconciler.present:
            bench.reconciler.lost(node, "gone")
            bench.open = [step for step in bench.open if step.node != node]
        elif event < 0.25 and node not in bench.reconciler.present:
            bench.reconciler.returned(node, "unconfigured")
        elif event < 0.3:
            bench.pass_time(dice.choice([0.1, 12.0]))
        elif bench.open:
            step = dice.choice(bench.open)
            before = bench.reconciler.present[step.node]
            if dice.random() < 0.1:
                bench.end(step.node, error="broken", state=before)
            else:
                bench.end(step.node)
    for node in RULES:
        if node not in bench.reconciler.present:
            bench.reconciler.returned(node, "unconfigured")
    bench.ask("last", ALL_ACTIVE)
    bench.end_all()
    assert bench.answers["last"][0]
    assert bench.reconciler.present == ALL_ACTIVE
    assert len(bench.answers) == asked + 1
    assert all(set(TRANSITIONS) | {SET_PARAMETERS} >= {step.action} for step in bench.launched)


def test_a_held_node_stays_inactive_through_requests_and_restarts():
    bench = Bench(ALL_INACTIVE)
    bench.ask("up", ALL_ACTIVE)
    bench.end_all()
    bench.reconciler.hold(["speech"], "given up")
    bench.end_all()
    assert bench.reconciler.present["speech"] == "inactive"
    assert bench.reconciler.problem("speech") == "given up"
    assert bench.reconciler.settled
    bench.reconciler.lost("speech", "its process ended")
    assert bench.reconciler.problem("speech") == "its process ended"
    bench.reconciler.returned("speech", "unconfigured")
    bench.end_all()
    assert bench.reconciler.present["speech"] == "inactive"
    bench.ask("up again", ALL_ACTIVE)
    ok, message = bench.answers["up again"]
    assert ok
    assert message.endswith(", without speech (given up)")


def test_what_is_let_go_follows_what_is_wanted_by_then():
    bench = Bench(ALL_ACTIVE)
    bench.ask("up", ALL_ACTIVE)
    bench.reconciler.hold(["speech"], "given up")
    bench.end_all()
    bench.reconciler.let_go(["speech", "dialogue"])
    bench.end_all()
    assert bench.reconciler.present == ALL_ACTIVE
    bench.reconciler.hold(["speech"], "given up")
    bench.end_all()
    bench.ask("down", {"speech": "inactive"})
    assert bench.reconciler.held == {}
    bench.ask("up once more", {"speech": "active"})
    bench.end_all()
    assert bench.reconciler.present == ALL_ACTIVE


def test_a_held_node_that_somebody_activates_by_hand_is_theirs():
    bench = Bench(ALL_ACTIVE)
    bench.ask("up", ALL_ACTIVE)
    bench.reconciler.hold(["speech"], "given up")
    bench.end_all()
    bench.reconciler.observed("speech", "active")
    assert bench.reconciler.held == {}
    assert bench.open == []
    assert bench.reconciler.problem("speech") == ""
