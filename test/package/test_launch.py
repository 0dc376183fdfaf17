"""The launch file is executed where launch is installed, and with the smallest stand-in for it where it is not."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from bbia_ros.launching import ARGUMENTS
from bbia_ros.manager.parameter_files import BringupError


def have_launch() -> bool:
    found = importlib.util.find_spec("launch")
    return found is not None and found.origin is not None  # a folder of that name on the path is no package


HAVE_LAUNCH = have_launch()


class Made:
    """Stands for any class of launch: remembers what it was made with."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


class LaunchConfiguration(Made):
    def perform(self, context):
        return context.launch_configurations[self.args[0]]


@pytest.fixture
def launch_file(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("bbia_ros.launching._claims", [])
    if not HAVE_LAUNCH:
        modules = {
            "launch": {"LaunchDescription": Made},
            "launch.actions": {"DeclareLaunchArgument": Made, "OpaqueFunction": Made, "ExecuteProcess": Made},
            "launch.substitutions": {"LaunchConfiguration": LaunchConfiguration},
        }
        for name, contents in modules.items():
            module = ModuleType(name)
            vars(module).update(contents)
            monkeypatch.setitem(sys.modules, name, module)
    path = next(Path(__file__).parents[2].glob("launch/bringup.launch.py"))
    spec = importlib.util.spec_from_file_location("bringup_launch", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def context(**arguments):
    if HAVE_LAUNCH:
        from launch import LaunchContext

        made = LaunchContext()
        made.launch_configurations.update({**{name: default for name, (default, _) in ARGUMENTS.items()}, **arguments})
        return made
    return SimpleNamespace(launch_configurations={**{name: d for name, (d, _) in ARGUMENTS.items()}, **arguments})


def test_the_description_declares_every_argument(launch_file):
    description = launch_file.generate_launch_description()
    if HAVE_LAUNCH:
        names = [argument.name for argument in description.get_launch_arguments()]
    else:
        names = [entry.args[0] for entry in description.args[0][:-1]]
    assert names == ["namespace", "driver", "mode", "profile", "composition", "log_level"]


def test_the_arguments_become_processes(launch_file):
    processes = launch_file.actions(context(mode="watch", composition="none", namespace="robot"))
    assert len(processes) == 7
    if not HAVE_LAUNCH:
        command = processes[0].kwargs["cmd"]
        assert command[1:3] == ["-m", "bbia_ros.bringup"]
        assert "__ns:=/robot" in command
        assert "--end-with-stdin" in command  # a killed launch takes the stack along


def test_a_wrong_argument_is_refused(launch_file):
    with pytest.raises(BringupError, match="unknown mode 'dance'"):
        launch_file.actions(context(mode="dance"))
