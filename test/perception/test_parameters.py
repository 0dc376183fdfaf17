"""config/perception.yaml names every parameter that may be set, with its default, and nothing else."""

import yaml

from bbia_ros.perception.parameters import PerceptionParameters
from bbia_ros.resources import shared_folder
from bbia_ros.ros.parameters import declarations


def flat(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def test_the_configuration_file_lists_every_parameter_with_its_default():
    tree = yaml.safe_load((shared_folder("config") / "perception.yaml").read_text(encoding="utf-8"))
    listed = dict(flat(tree["/**"]["perception"]["ros__parameters"]))
    defaults = {known.name: known.default for known in declarations(PerceptionParameters)}
    assert listed == {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}


def test_every_parameter_is_described():
    assert all(known.meta.description for known in declarations(PerceptionParameters))
