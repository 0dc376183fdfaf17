"""Compiled scenes: the cache, and what the eye and a spectator see in them."""

import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from bbia_ros.driver.sim import mjb, scene
from bbia_ros.driver.sim.bindings import SimulatorUnavailable, load_mujoco
from bbia_ros.driver.sim.film import FilmEngine
from bbia_ros.driver.sim.scene import SceneOptions, board_centre
from bbia_ros.driver.sim.visitor import Arc

pytestmark = pytest.mark.heavy


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "bbia_ros" / "mjb"


def test_a_scene_is_compiled_once_and_a_damaged_file_is_compiled_again(own_cache, caplog):
    options = SceneOptions()
    path = mjb.prepare("physics", options)
    made = path.stat().st_ino
    assert mjb.prepare("physics", options) == path
    assert path.stat().st_ino == made, "a hit compiles nothing"
    assert mjb.prepare("physics", replace(options, timestep=0.001)) != path
    path.write_bytes(path.read_bytes()[:1000])
    model = mjb.load("physics", options)
    assert model.nq == 58
    assert "is damaged; compiling it again" in caplog.text
    assert not list(own_cache.glob("*.part"))


def test_a_cache_that_cannot_be_written_says_what_to_set(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(SimulatorUnavailable, match="XDG_CACHE_HOME"):
        mjb.prepare("physics", SceneOptions())


def test_a_scene_without_the_robot_is_refused(own_cache, tmp_path):
    path = tmp_path / "scenes" / "other.xml"
    path.parent.mkdir()
    path.write_text("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
    with pytest.raises(SimulatorUnavailable, match="holds no Reachy Mini"):
        mjb.prepare("physics", SceneOptions(scene=str(path)))


def test_all_variants_share_one_configuration(own_cache):
    models = [mjb.load(variant, SceneOptions()) for variant in ("physics", "camera", "film")]
    for model in models[1:]:
        assert model.nq == models[0].nq
        assert np.allclose(model.qpos0, models[0].qpos0)
        assert model.njnt == models[0].njnt
        for body in ("xl_330", "body_down_3dprint", "apple", "croissant", "duck"):
            assert model.body(body).mass == pytest.approx(models[0].body(body).mass)
        assert [model.joint(j).name for j in range(model.njnt)] == [models[0].joint(j).name for j in range(model.njnt)]


def test_importing_the_simulator_leaves_the_renderer_out():
    code = (
        "import sys; from bbia_ros.driver.sim.bindings import load_mujoco; load_mujoco();"
        "print([name for name in ('OpenGL', 'mujoco._render', 'mujoco.rendering') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def film():
    engine = FilmEngine()
    yield engine
    engine.close()


def visit(azimuth, distance=0.8):
    arc = Arc(azimuth, azimuth, 0.0, distance)
    yaw = arc.heading(0.0)
    return board_centre(arc.face(0.0)), (math.cos(yaw / 2.0), 0.0, 0.0, math.sin(yaw / 2.0))


AWAY = (scene.VISITOR_AWAY, (1.0, 0.0, 0.0, 0.0))


def test_the_film_shows_robot_and_visitor_from_outside(film):
    qpos = film._model.qpos0
    picture = film.outside(qpos, *AWAY)
    assert picture.shape == (360, 480, 3)
    white = (picture.min(axis=2) > 150)[:, :240].sum()
    assert white > 800, "the robot's shell"
    changed = np.abs(film.outside(qpos, *visit(-0.5)).astype(int) - picture).max(axis=2) > 30
    assert changed.sum() > 5000, "the visitor's board"


def test_a_recording_becomes_frames_at_a_steady_rate(film):
    times = np.arange(0.0, 1.0, 0.05)
    qpos = np.repeat(film._model.qpos0[None], len(times), axis=0)
    away = [AWAY[0]] * len(times), [AWAY[1]] * len(times)
    frames = list(film.frames(times, qpos, *away, rate_hz=10.0))
    assert [frame["index"] for frame in frames] == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert frames[0]["eye"].shape == (240, 320, 3)
    assert list(film.frames([], [], [], [])) == []


@pytest.mark.parametrize("azimuth_deg", [0.0, 20.0])
def test_the_face_landmarker_finds_the_visitor_where_it_stands_and_nobody_when_it_is_gone(film, azimuth_deg):
    from bbia_ros.perception.faces_mediapipe import MediaPipeFaces
    from bbia_ros.residency.catalog import resolve

    faces = MediaPipeFaces(str(resolve("face-landmarker", "faces")))
    try:
        qpos = film._model.qpos0
        assert faces.faces(film.eye(qpos, *AWAY)) == []
        (face,) = faces.faces(film.eye(qpos, *visit(math.radians(azimuth_deg))))
        x, y, width, height = face.box
        centre = np.array([x + width / 2.0, y + height / 2.0])
        expected = project(film, Arc(math.radians(azimuth_deg), math.radians(azimuth_deg), 0.0, 0.8).face(0.0))
        assert np.abs(centre - expected).max() < 6.0, "pixels; the face's centre is what SimulationState calls it"
        assert width > 30.0
    finally:
        faces.close()


def project(film, point):
    """Where a point in world is in the eye's picture [pixels]."""
    camera = film._data.camera(scene.EYE_CAMERA)
    right, up, back = camera.xmat.reshape(3, 3).T
    ray = np.array(point) - camera.xpos
    focal = 120.0 / math.tan(math.radians(40.0))
    depth = -ray @ back
    return np.array([160.0 + focal * (ray @ right) / depth, 120.0 - focal * (ray @ up) / depth])


def test_the_library_is_named_when_it_is_missing(monkeypatch):
    import importlib.util

    monkeypatch.delitem(sys.modules, "mujoco", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SimulatorUnavailable, match="pip install mujoco"):
        load_mujoco()
