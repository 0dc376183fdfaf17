from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bbia_ros.bringup import environment
from bbia_ros.composition import COMPOSITIONS, NODES, Options, check, plan_processes
from bbia_ros.manager.parameter_files import BringupError, budget_mb, check_parameter_file, parse_override
from bbia_ros.resources import shared_folder


@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_every_node_runs_in_exactly_one_process(composition, tmp_path):
    plans = plan_processes(Options(composition=composition), tmp_path)
    assert sorted(node for plan in plans for node in plan.nodes) == sorted(NODES)
    assert plans[0].name in ("manager", "bbia")


def test_the_manager_ends_last_and_what_moves_before_it(tmp_path):
    for composition in ("split", "none"):
        stages = {plan.name: plan.stage for plan in plan_processes(Options(composition=composition), tmp_path)}
        assert stages.pop("manager") == 2
        assert stages.pop("driver" if composition == "none" else "control") == 1
        assert set(stages.values()) == {0}


def test_a_process_is_told_its_nodes_namespace_files_and_budget(tmp_path):
    options = Options(profile="lite", namespace="/robots/one/", log_level="warn", parameters={"speech": {"x.y": 3}})
    (brain,) = [plan for plan in plan_processes(options, tmp_path) if plan.name == "brain"]
    command = brain.command("--end-with-stdin")
    assert command[1:5] == ["-m", "bbia_ros.bringup", "--name", "brain"]
    assert command[command.index("--nodes") + 1] == "perception,speech,dialogue,emotion"
    assert float(command[command.index("--budget-mb") + 1]) > 0
    assert command.index("--end-with-stdin") < command.index("--ros-args")
    assert "__ns:=/robots/one" in command
    assert command[command.index("--log-level") + 1] == "warn"
    files = [Path(word) for word, before in zip(command[1:], command, strict=False) if before == "--params-file"]
    assert files[-1] == tmp_path / "parameters.yaml"
    assert files[-2].name == "lite.yaml"
    chosen = yaml.safe_load(files[-1].read_text())
    assert chosen["/**/speech"]["ros__parameters"] == {"x.y": 3}
    assert chosen["/**/manager"]["ros__parameters"]["mode"] == "idle"
    assert chosen["/**/driver"]["ros__parameters"] == {"backend": "mujoco"}


def test_a_part_of_the_stack_has_a_manager_and_what_it_needs(tmp_path):
    plans = plan_processes(Options(nodes=("driver", "motion")), tmp_path)
    assert {plan.name: plan.nodes for plan in plans} == {"manager": ("manager",), "control": ("driver", "motion")}
    chosen = yaml.safe_load((tmp_path / "parameters.yaml").read_text())
    assert chosen["/**/manager"]["ros__parameters"]["nodes"] == ["driver", "motion"]
    with pytest.raises(BringupError, match="motion needs driver"):
        plan_processes(Options(nodes=("motion",)), tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mode": "dance"}, "unknown mode 'dance'; known: sleep, idle, watch, listen, converse"),
        ({"driver": "lego"}, "unknown driver 'lego'; known: mujoco, reachy, mock"),
        ({"profile": "huge"}, "unknown profile 'huge'; known: lite, standard, torch"),
        ({"composition": "two"}, "unknown composition 'two'; known: split, single, none"),
        ({"log_level": "loud"}, "unknown log level 'loud'"),
        ({"nodes": ("driver", "legs")}, "unknown node 'legs'"),
        ({"parameters": {"legs": {"a": 1}}}, "unknown node 'legs'"),
        ({"namespace": "my robot"}, "'my robot' is no ROS namespace"),
        ({"modes_file": "/nowhere/modes.yaml"}, "/nowhere/modes.yaml: cannot be read"),
    ],
)
def test_wrong_choices_are_refused_with_the_valid_ones(change, says):
    with pytest.raises(BringupError) as refusal:
        check(replace(Options(), **change))
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_shipped_parameter_files_are_sound_and_fit_any_namespace():
    files = [*shared_folder("config").glob("*.yaml"), *shared_folder("config").glob("profiles/*.yaml")]
    parameter_files = [path for path in files if path.name not in ("modes.yaml", "diagnostics.yaml")]
    assert {path.stem for path in parameter_files} >= {"manager", "driver", "perception", "speech", "lite"}
    for path in parameter_files:
        check_parameter_file(path)
        assert all(key.startswith("/**") for key in yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/**/speech:\n  ros__parameters:\n    a: 1\n    a: 2\n", "line 4: 'ros__parameters' has the key 'a' twice"),
        ("/**:\n  speech:\n    ros__parameters: {}\n  speech:\n    ros__parameters: {}\n", "'speech' twice"),
        ("/**/speech: 5\n", "must be a mapping"),
        ("/**/speech: [\n", "not valid YAML"),
    ],
)
def test_parameter_files_that_would_lose_something_are_refused(tmp_path, text, says):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(BringupError) as refusal:
        check_parameter_file(path)
    assert says in str(refusal.value)


def test_the_last_budget_counts(tmp_path):
    texts = [
        "/**/manager: {ros__parameters: {budget_mb: 500.0}}",
        "/**: {manager: {ros__parameters: {budget_mb: 900}}}",
        "/**/speech: {ros__parameters: {budget_mb: 1.0}}",
    ]
    paths = [tmp_path / f"{index}.yaml" for index in range(3)]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    assert budget_mb(paths) == 900
    assert budget_mb(paths[:1]) == 500
    assert budget_mb(paths[2:]) == 0
    paths[0].write_text("/**/manager: {ros__parameters: {budget_mb: lots}}")
    with pytest.raises(BringupError, match="must be a number of megabytes"):
        budget_mb(paths[:1])


def test_overrides_are_split_and_read_as_yaml():
    assert parse_override("speech.stt.model=whisper-tiny", NODES) == ("speech", "stt.model", "whisper-tiny")
    assert parse_override("motion.rate_hz=50.0", NODES) == ("motion", "rate_hz", 50.0)
    assert parse_override("speech.name=", NODES) == ("speech", "name", "")
    for wrong in ("speech", "speech=3", ".x=1", "=", "legs.x=1", "speech.x=[1"):
        with pytest.raises(BringupError):
            parse_override(wrong, NODES)


def test_every_process_gets_our_profile_of_fast_dds_and_the_user_wins():
    assert environment({})["FASTRTPS_DEFAULT_PROFILES_FILE"].endswith("config/fastdds.xml")
    own = {"FASTRTPS_DEFAULT_PROFILES_FILE": "/mine.xml", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}
    assert environment(own).items() >= own.items()
    assert "FASTRTPS_DEFAULT_PROFILES_FILE" not in environment({"FASTDDS_DEFAULT_PROFILES_FILE": "/3.xml"})
    assert environment({})["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
