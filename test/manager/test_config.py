from pathlib import Path

import pytest
import yaml

from bbia_ros.manager.mode_file import ModeFile
from bbia_ros.manager.parameters import ManagerParameters
from bbia_ros.resources import shared_folder
from bbia_ros.ros.parameters import declarations


def flat(section: dict, prefix: str = ""):
    for key, value in section.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def test_configuration_lists_every_parameter_with_its_default():
    document = yaml.safe_load((shared_folder("config") / "manager.yaml").read_text())
    listed = dict(flat(document["/**/manager"]["ros__parameters"]))
    expected = {
        d.name: list(d.default) if isinstance(d.default, tuple) else d.default for d in declarations(ManagerParameters)
    }
    del expected["nodes"]  # ROS has no way to write an empty list
    assert listed == expected


def test_the_mode_is_kept_in_the_file(tmp_path: Path):
    path = tmp_path / "mode"
    assert ModeFile(str(path)).read({"idle"}) == ""
    assert ModeFile(str(path)).write("idle") == ""
    assert ModeFile(str(path)).read({"idle"}) == "idle"
    assert ModeFile(str(path)).read({"other"}) == ""


@pytest.mark.parametrize("path", ["", "/proc/nowhere/mode"])
def test_no_file_and_one_that_cannot_be_written_do_no_harm(path: str):
    file = ModeFile(path)
    assert ("cannot be written" in file.write("idle")) == bool(path)
    assert file.read({"idle"}) == ""
