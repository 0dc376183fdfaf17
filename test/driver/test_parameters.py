"""config/driver.yaml names every parameter of the driver, with its default, and nothing else."""

import yaml

from bbia_ros.driver.parameters import DriverParameters
from bbia_ros.resources import shared_folder
from bbia_ros.ros.parameters import declarations


def flat(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def test_the_configuration_file_lists_every_parameter_with_its_default():
    tree = yaml.safe_load((shared_folder("config") / "driver.yaml").read_text(encoding="utf-8"))
    listed = dict(flat(tree["/**"]["driver"]["ros__parameters"]))
    assert listed == {known.name: known.default for known in declarations(DriverParameters)}
