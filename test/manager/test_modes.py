from itertools import pairwise
from pathlib import Path

import pytest

from bbia_ros.manager.modes import ModesError, find_cycle, load_modes

SHIPPED = Path(__file__).parents[2] / "config" / "modes.yaml"

GOOD = """
nodes:
  driver: {timeout_s: 30}
  motion:
    needs: [driver]
  speech:
    needs: [driver]
    after: [motion]
modes:
  sleep:
    active: [driver, motion]
    unconfigured: [speech]
    parameters:
      motion: {posture: asleep, speed: 0.5, joints: [1, 2]}
  talk:
    active: [driver, motion, speech]
"""


def load(tmp_path: Path, text: str):
    path = tmp_path / "modes.yaml"
    path.write_text(text)
    return load_modes(path)


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(ModesError) as error:
        load(tmp_path, text)
    message = str(error.value)
    assert "\n" not in message
    return message.removeprefix(str(tmp_path / "modes.yaml"))


def test_modes_are_read(tmp_path):
    table = load(tmp_path, GOOD)
    assert table.rules["driver"].timeout_s == 30
    assert table.rules["speech"].earlier == {"driver", "motion"}
    assert table.modes["sleep"].states == {"driver": "active", "motion": "active", "speech": "unconfigured"}
    assert table.modes["sleep"].parameters == {"motion": {"posture": "asleep", "speed": 0.5, "joints": [1, 2]}}
    assert table.modes["talk"].states["speech"] == "active"


def test_the_shipped_modes_grow_from_sleep_to_converse():
    table = load_modes(SHIPPED)
    assert list(table.modes) == ["sleep", "idle", "watch", "listen", "converse"]
    active = [{node for node, state in mode.states.items() if state == "active"} for mode in table.modes.values()]
    assert active[0] == {"driver", "motion"}
    assert active[-1] == set(table.rules)
    assert all(smaller <= larger for smaller, larger in pairwise(active))
    assert table.modes["sleep"].parameters["motion"]["posture"] == "asleep"
    assert all(table.modes[m].parameters["motion"]["posture"] == "awake" for m in list(table.modes)[1:])


@pytest.mark.parametrize(
    ("change", "to", "line", "says"),
    [
        ("needs: [driver]\n  speech", "needs: [drivr]\n  speech", 5, "unknown node 'drivr'"),
        ("active: [driver, motion]\n", "active: [driver, legs]\n", 11, "unknown node 'legs'; known: driver, motion"),
        ("  talk:", "  sleep:", 15, "has the key 'sleep' twice (first on line 11)"),
        ("    after: [motion]", "    after: [motion]\n    needs: [driver]", 9, "'needs' twice"),
        ("  talk:\n    active:", "  talk:\n    actve:", 16, "unknown key 'actve'; known: active"),
        ("{timeout_s: 30}", "{timeout_s: 0}", 3, "above 0"),
        ("{timeout_s: 30}", "{timeout_s: soon}", 3, "above 0"),
        ("{timeout_s: 30}", "{needs: [speech]}", 3, "in a circle: "),
        ("unconfigured: [speech]", "unconfigured: [motion]", 12, "has motion both unconfigured and active"),
        ("active: [driver, motion]", "active: [motion]", 11, "needs, is inactive"),
        ("speed: 0.5", "speed: {a: 1}", 14, "must be a scalar or a list"),
        ("motion: {posture", "speech: {posture", 14, "which is unconfigured in it"),
        ("motion: {posture", "legs: {posture", 14, "unknown node 'legs'"),
        ("[driver, motion, speech]", "driver", 16, "must be a list of names"),
        ("[driver, motion, speech]", "[driver, driver]", 16, "names 'driver' twice"),
        ("[driver, motion, speech]", "[driver, 7]", 16, "must hold names, not 7"),
        ("[driver, motion, speech]", "[driver", 16, "is not valid YAML"),
        ("modes:", "moods:", 10, "unknown key 'moods'"),
    ],
)
def test_a_wrong_file_is_refused_with_line_and_reason(tmp_path, change, to, line, says):
    assert change in GOOD
    message = refusal(tmp_path, GOOD.replace(change, to, 1))
    assert says in message
    shown = int(message.split("line ")[1].split(":")[0])
    assert abs(shown - line) <= 1


def test_missing_empty_and_unreadable_files_are_refused(tmp_path):
    assert "is empty" in refusal(tmp_path, "# nothing\n")
    assert "the key 'modes' is missing" in refusal(tmp_path, "nodes: {driver: }\n")
    assert "must be a mapping" in refusal(tmp_path, "- 1\n")
    with pytest.raises(ModesError, match="No such file"):
        load_modes(tmp_path / "none.yaml")


def test_unknown_modes_and_nodes_are_refused_with_the_known_ones(tmp_path):
    table = load(tmp_path, GOOD)
    with pytest.raises(ModesError, match="unknown mode 'dance'; known: sleep, talk"):
        table.mode("dance")
    with pytest.raises(ModesError, match="unknown node 'legs'; known: driver, motion, speech"):
        table.check_nodes(["motion", "legs"])


def test_a_part_of_the_stack_keeps_what_concerns_it(tmp_path):
    table = load(tmp_path, GOOD)
    part = table.only(["driver", "speech"])
    assert part.rules["speech"].after == ()
    assert part.modes["sleep"].states == {"driver": "active", "speech": "unconfigured"}
    assert part.modes["sleep"].parameters == {}
    with pytest.raises(ModesError, match="motion needs driver"):
        table.only(["motion"])


def test_cycles_are_found():
    assert find_cycle({"a": ["b"], "b": ["c"], "c": []}) == []
    assert find_cycle({"a": ["b", "c"], "b": ["c"], "c": []}) == []
    assert find_cycle({"a": ["a"]}) == ["a", "a"]
    cycle = find_cycle({"x": ["a"], "a": ["b"], "b": ["c"], "c": ["a"]})
    assert cycle[0] == cycle[-1]
    assert set(cycle) == {"a", "b", "c"}
