"""A second stack of the same names is refused, until the first is gone."""

import os
import subprocess
import sys

import pytest

from bbia_ros.bringup import Options, Stack
from bbia_ros.manager.claim import claim
from bbia_ros.manager.parameter_files import BringupError


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")


def test_a_second_stack_is_refused_by_name_until_the_first_has_ended():
    first = claim("/home/robot/")
    with pytest.raises(BringupError, match=rf"'/home/robot' of ROS domain 7 \(process {os.getpid()}\)"):
        claim("home/robot")
    claim("robot").close()
    claim("home/robot", 8).close()
    first.close()
    claim("home/robot").close()


def test_a_claim_ends_with_its_process():
    code = "from bbia_ros.manager.claim import claim; held = claim('bbia'); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(BringupError, match=str(other.pid)):
            claim("bbia")
        other.kill()
    claim("bbia").close()


def test_a_refused_stack_leaves_the_files_of_the_running_one(tmp_path):
    held = claim("bbia")
    log = tmp_path / "log"
    log.mkdir()
    (log / "mode").write_text("watch")
    with pytest.raises(BringupError, match="already running"):
        Stack(Options(), log_folder=log)
    assert [path.name for path in log.iterdir()] == ["mode"]
    held.close()


def test_a_stack_that_cannot_be_planned_claims_nothing(tmp_path):
    with pytest.raises(BringupError, match="unknown mode") as kept:
        Stack(Options(mode="dance"), log_folder=tmp_path)
    claim("bbia").close()
    assert "dance" in str(kept.value)
