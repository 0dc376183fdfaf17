"""The walls between the layers: who may import what."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import bbia_ros
from bbia_ros.bringup import NODES

PACKAGE = Path(bbia_ros.__file__).parent
HEAVY = (
    "torch", "transformers", "ultralytics", "mediapipe", "ctranslate2", "faster_whisper", "onnxruntime", "mujoco",
    "cv2", "piper", "xllamacpp", "matplotlib", "av", "onnx", "scipy", "reachy_mini", "tokenizers",
)  # fmt: skip
"""Libraries that must not be in a process of ours; workers load them."""


def sources() -> list[Path]:
    generated = {"msg", "srv", "action"}
    return [p for p in sorted(PACKAGE.rglob("*.py")) if p.relative_to(PACKAGE).parts[0] not in generated]


def top_level_imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_only_nodes_the_shared_layer_and_the_client_import_rclpy() -> None:
    offenders = []
    for path in sources():
        parts = path.relative_to(PACKAGE).parts
        allowed = parts[0] == "ros" or path.name == "node.py" or parts == ("manager", "client.py")
        if "rclpy" in top_level_imports(path) and not allowed:
            offenders.append("/".join(parts))
    assert offenders == []


def test_residency_knows_nothing_of_ros() -> None:
    ros = {
        "rclpy",
        "std_msgs",
        "sensor_msgs",
        "geometry_msgs",
        "lifecycle_msgs",
        "diagnostic_msgs",
        "builtin_interfaces",
    }
    assert {p.name: found for p in sources() if "residency" in p.parts and (found := top_level_imports(p) & ros)} == {}


def loaded_after(module: str) -> set[str]:
    """Top-level modules in a fresh interpreter that has imported `module`."""
    code = f"import sys, json, {module}; print(json.dumps(sorted({{m.partition('.')[0] for m in sys.modules}})))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(answer.stdout.splitlines()[-1]))


@pytest.mark.heavy
@pytest.mark.parametrize("module", ["bbia_ros", "bbia_ros.cli", *(f"bbia_ros.{node}.node" for node in NODES)])
def test_importing_loads_no_heavy_library(module: str) -> None:
    assert loaded_after(module) & set(HEAVY) == set()


def test_no_engine_imports_its_library_at_module_level() -> None:
    offenders = {str(p.relative_to(PACKAGE)): found for p in sources() if (found := top_level_imports(p) & set(HEAVY))}
    assert offenders == {}


NEEDLESS = {
    "asyncio", "email", "em", "lark", "multiprocessing", "numpy.random", "numpy.testing", "rich", "rosidl_pycommon",
    "statistics", "unittest",
}  # fmt: skip
"""Modules that cost a process with nodes one to five megabytes each and do nothing in it."""


@pytest.mark.heavy
@pytest.mark.parametrize("node", NODES)
def test_a_node_that_speaks_has_no_needless_module(node: str) -> None:
    code = f"""
import json, sys
import bbia_ros.{node}.node
import bbia_ros.bringup
from bbia_ros.ros.footprint import leave_out_code_generator
leave_out_code_generator()
from rclpy.type_support import check_for_type_support
from bbia_ros.msg import Heartbeat
check_for_type_support(Heartbeat)
print(json.dumps(sorted(sys.modules)))
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert set(json.loads(answer.stdout.splitlines()[-1])) & NEEDLESS == set()


@pytest.mark.heavy
def test_the_code_generator_can_still_be_imported() -> None:
    code = """
from bbia_ros.ros.footprint import GENERATOR, leave_out_code_generator
leave_out_code_generator()
import importlib, sys
assert GENERATOR not in sys.modules
assert importlib.import_module(GENERATOR).generate_py
leave_out_code_generator()  # too late: it changes nothing
assert sys.modules[GENERATOR].generate_py
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
