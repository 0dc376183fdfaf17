"""The planner against a reference that searches all sequences of transitions."""

from collections import deque
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bbia_ros.manager.modes import STATES, ModesError, NodeRule
from bbia_ros.manager.plan import SET_PARAMETERS, TRANSITIONS, Plan, Step, make_plan, widen

NODES = ("a", "b", "c", "d")


def legal(step: Step, states: dict, rules: dict) -> bool:
    """The lifecycle's rule and the dependencies' rule, stated without the planner."""
    if states[step.node] != TRANSITIONS[step.action][0]:
        return False
    if step.action == "activate":
        return all(states[need] == "active" for need in rules[step.node].needs)
    if step.action == "deactivate":
        return not any(step.node in rule.needs and states[node] == "active" for node, rule in rules.items())
    return True


def shortest(present: dict, wanted: dict, rules: dict) -> int:
    start, goal = tuple(present.items()), tuple(wanted[node] for node in present)
    queue, seen = deque([(start, 0)]), {start}
    while queue:
        states, count = queue.popleft()
        if tuple(state for _, state in states) == goal:
            return count
        for node, action in product(present, TRANSITIONS):
            step = Step(node, action)
            if legal(step, dict(states), rules):
                following = dict(states)
                following[node] = TRANSITIONS[action][1]
                key = tuple(following.items())
                if key not in seen:
                    seen.add(key)
                    queue.append((key, count + 1))
    raise AssertionError("the goal cannot be reached")


def rounds(plan: Plan) -> int:
    left, count = dict(plan.waits_for), 0
    while left:
        ready = [step for step, waits in left.items() if not waits & left.keys()]
        assert ready, "the plan waits for itself"
        for step in ready:
            del left[step]
        count += 1
    return count


@st.composite
def graphs(draw):
    rules = {}
    for index, node in enumerate(NODES):
        earlier = draw(st.lists(st.sampled_from(NODES[:index]), unique=True)) if index else []
        cut = draw(st.integers(0, len(earlier)))
        rules[node] = NodeRule(tuple(earlier[:cut]), tuple(earlier[cut:]))
    return rules


def states_of(rules: dict):
    """Assignments in which every active node has what it needs."""
    every = (dict(zip(NODES, states, strict=True)) for states in product(STATES, repeat=len(NODES)))
    return [
        states
        for states in every
        if all(states[n] != "active" or all(states[m] == "active" for m in rules[n].needs) for n in NODES)
    ]


@st.composite
def problems(draw):
    rules = draw(graphs())
    valid = states_of(rules)
    return rules, draw(st.sampled_from(valid)), draw(st.sampled_from(valid)), draw(st.randoms(use_true_random=False))


@given(problems())
@settings(max_examples=150, deadline=None)
def test_any_order_the_plan_allows_is_legal_and_as_short_as_possible(problem):
    rules, present, wanted, random = problem
    plan = make_plan(present, wanted, rules)
    states, left = dict(present), dict(plan.waits_for)
    while left:
        step = random.choice([step for step, waits in left.items() if not waits & left.keys()])
        assert legal(step, states, rules), f"{step} in {states}"
        if step.action == "activate":
            assert not any(Step(other, "activate") in left for other in rules[step.node].after)
        if step.action == "deactivate":
            assert not any(Step(n, "deactivate") in left for n, rule in rules.items() if step.node in rule.after)
        states[step.node] = TRANSITIONS[step.action][1]
        del left[step]
    assert states == wanted
    assert len(plan.waits_for) == shortest(present, wanted, rules)


def test_independent_nodes_change_at_the_same_time():
    rules = {"a": NodeRule(), **{node: NodeRule(needs=("a",)) for node in "bcd"}}
    plan = make_plan(dict.fromkeys(NODES, "unconfigured"), dict.fromkeys(NODES, "active"), rules)
    assert len(plan.steps) == 8
    assert set(plan.ready()) == {Step(node, "configure") for node in NODES}
    assert rounds(plan) == 3


def test_a_node_goes_down_after_those_that_need_it():
    rules = {"a": NodeRule(), "b": NodeRule(needs=("a",)), "c": NodeRule(after=("b",))}
    plan = make_plan(dict.fromkeys("abc", "active"), dict.fromkeys("abc", "unconfigured"), rules)
    downs = [step.node for step in plan.steps if step.action == "deactivate"]
    assert downs == ["c", "b", "a"]


def test_parameters_are_set_when_configured_and_before_activation():
    rules = {"a": NodeRule()}
    names = lambda plan: [step.action for step in plan.steps]  # noqa: E731
    up = make_plan({"a": "unconfigured"}, {"a": "active"}, rules, ["a"])
    assert names(up) == ["configure", SET_PARAMETERS, "activate"]
    assert names(make_plan({"a": "active"}, {"a": "active"}, rules, ["a"])) == [SET_PARAMETERS]
    assert names(make_plan({"a": "inactive"}, {"a": "unconfigured"}, rules, ["a"])) == ["cleanup"]


def test_nodes_that_are_not_there_get_no_step():
    rules = {"a": NodeRule(), "b": NodeRule(needs=("a",))}
    plan = make_plan({"b": "inactive"}, {"a": "active", "b": "unconfigured"}, rules)
    assert plan.steps == (Step("b", "cleanup"),)


def test_a_request_for_single_nodes_takes_dependencies_along():
    rules = {"a": NodeRule(), "b": NodeRule(needs=("a",)), "c": NodeRule(needs=("b",), after=("d",)), "d": NodeRule()}
    idle = dict.fromkeys(NODES, "inactive")
    assert widen(["c"], [], idle, rules) == {"a": "active", "b": "active", "c": "active", "d": "inactive"}
    busy = dict.fromkeys(NODES, "active")
    assert widen([], ["b"], busy, rules) == {"a": "active", "b": "inactive", "c": "inactive", "d": "active"}
    assert widen([], ["a"], {**busy, "c": "unconfigured"}, rules)["c"] == "unconfigured"


@pytest.mark.parametrize(("up", "down"), [(["a"], ["a"]), (["c"], ["a"])])
def test_a_request_that_contradicts_itself_is_refused(up, down):
    rules = {"a": NodeRule(), "b": NodeRule(needs=("a",)), "c": NodeRule(needs=("b",))}
    with pytest.raises(ModesError, match="cannot be activated and deactivated"):
        widen(up, down, dict.fromkeys("abc", "inactive"), rules)
