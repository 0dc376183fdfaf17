"""Our profile of Fast DDS is one that it takes: of a profile that it does not take it says nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from bbia_ros.domain import set_middleware_defaults
from bbia_ros.resources import shared_folder

PROGRAM = """
import json, re
import rclpy
rclpy.init()
node = rclpy.create_node("probe")
sizes = [int(end, 16) - int(start, 16) for start, end in re.findall(
    r"^([0-9a-f]+)-([0-9a-f]+) .*/dev/shm/fastrtps_[0-9a-f]{16}$", open("/proc/self/maps").read(), re.M)]
print(json.dumps(sizes))
rclpy.shutdown()
"""


@pytest.mark.heavy
def test_the_profile_is_in_force() -> None:
    tree = ElementTree.parse(shared_folder("config") / "fastdds.xml")
    wanted = next(int(str(element.text)) for element in tree.iter() if element.tag.endswith("segment_size"))
    environment = {name: value for name, value in os.environ.items() if "DEFAULT_PROFILES_FILE" not in name}
    set_middleware_defaults(environment)
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60, env=environment
    )
    assert "XML" not in answer.stderr
    assert max(json.loads(answer.stdout.splitlines()[-1])) >= wanted
