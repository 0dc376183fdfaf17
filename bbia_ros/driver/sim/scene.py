"""Builds the simulator's scene: the wheel's MJCF plus a visitor, in three variants with the same configuration vector.

* `physics`: colliders only. No picture, no visual mesh.
* `camera`: what the eye camera can see. The robot's inside, head and antennas never come into its view.
* `film`: everything that a spectator sees, with fewer triangles.

All variants have the same bodies, joints and actuators, hence the same `qpos`; mocap body 0 is the visitor.
Compiling needs some 500 MB for a moment; `mjb.py` does it once, in a process of its own, and keeps the result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bbia_ros.driver import reachy_mini
from bbia_ros.driver.sim import assets, meshes
from bbia_ros.driver.sim.bindings import SimulatorUnavailable, load_mujoco
from bbia_ros.geometry import quaternion_from_rotation, rotation_from_quaternion

Variant = Literal["physics", "camera", "film"]

HEAD_BODY = "xl_330"
"""Body of the MJCF that carries the head."""
TRUNK_BODY = "body_down_3dprint"
"""Body of the MJCF that turns under the head."""
HEAD_SITE = "head"
EYE_CAMERA = "bbia_eye"
STIFFNESS = 40.0
"""Gain of the simulated servos on the position [N m/rad]."""
DAMPING = 0.4
"""Their gain on the speed [N m s/rad]."""
VISITOR_BODY = "visitor"
VISITOR_HALF_HEIGHT = 0.2
"""Half the portrait's height [m]; at 0.8 m its face is about 70 pixels wide in 320x240."""
PORTRAIT_FACE_UP = -0.025
"""How far above the portrait's middle the centre of MediaPipe's face landmarks is [m]."""
VISITOR_AWAY = (0.0, 0.0, -5.0)
"""Where the board waits while nobody visits [m]: far below the floor."""

SEEN_BY_EYE = {
    "body_top_3dprint": 3000,
    "body_down_3dprint": 600,
    "stewart_tricap_3dprint": 300,
    "stewart_main_plate_3dprint": 300,
    "stewart_link_rod": 200,
    "stewart_link_ball": 60,
    "mp01062_stewart_arm_3": 200,
}
"""Robot meshes that came into the eye camera's view at some pose, and the faces each may keep."""
HIDDEN_INSIDE = ("bts2_m2", "phs_1_7x20", "b3b_eh", "dc15_a01_led", "bearing", "5w_speaker", "pp01102", "arducam")
"""Beginnings of the names of meshes (screws, plugs, bearings) that nobody sees from outside."""
FILM_FACES = 4000
"""Faces that a mesh of the robot's shell may keep in the film."""
MECHANICS = ("dc15", "stewart_link", "mp01062", "stewart_main", "stewart_tricap", "antenna_body", "antenna_interface")
"""Beginnings of the names of meshes of motors, rods and arms, mostly hidden behind the shell."""
MECHANICS_FACES = 250
"""Faces that each of those may keep in the film."""

THICKER = {"antenna": 0.0015}
"""What is added to the radius of thin parts in the film [m]: thinner than a pixel, they would break into dots."""


@dataclass(frozen=True)
class SceneOptions:
    """What a compiled model depends on besides the files.

    Attributes:
        scene: `minimal`, `empty`, or the path of an MJCF file.
        width: Largest picture's width that can be rendered offscreen [pixels].
        height: Its height [pixels].
        texture_size: Largest edge of a texture [pixels].
        timestep: Physics step [s]; the SDK's simulator uses 2 ms.
    """

    scene: str = "minimal"
    width: int = 320
    height: int = 240
    texture_size: int = 512
    timestep: float = 0.002


def build(variant: Variant, options: SceneOptions) -> Any:
    """Returns the compiled `mujoco.MjModel`.

    Raises:
        SimulatorUnavailable: a library or file is missing, or the scene is not one of a Reachy Mini.
    """
    mujoco = load_mujoco()
    path = assets.scene_path(options.scene)
    try:
        spec = mujoco.MjSpec.from_file(str(path))
    except ValueError as error:
        raise SimulatorUnavailable(f"{path} is not a scene that MuJoCo reads: {error}") from error
    if spec.body(HEAD_BODY) is None or spec.body(TRUNK_BODY) is None or spec.site(HEAD_SITE) is None:
        raise SimulatorUnavailable(f"{path} holds no Reachy Mini (no body {HEAD_BODY!r} with a site {HEAD_SITE!r})")
    _set_options(spec, options)
    _tune_robot(spec, mujoco)
    _add_eye_camera(spec)
    _add_visitor(spec, mujoco, with_portrait=variant != "physics")
    _drop_geoms(spec, variant)
    if variant == "physics":
        _drop_pictures(spec)
    else:
        _shrink_textures(spec, mujoco, assets.asset_folder(path), options.texture_size)
        _simplify_robot(spec, mujoco, assets.asset_folder(path), variant)
    _drop_unused_meshes(spec)
    return spec.compile()


def board_centre(face: tuple[float, float, float]) -> tuple[float, float, float]:
    """Returns the position of the visitor's body that puts the face's centre at `face` [m in world]."""
    return face[0], face[1], face[2] - PORTRAIT_FACE_UP


def _set_options(spec: Any, options: SceneOptions) -> None:
    spec.option.timestep = options.timestep
    quality, screen = spec.visual.quality, spec.visual.global_
    quality.shadowsize = 0
    quality.offsamples = 0
    screen.offwidth, screen.offheight = options.width, options.height
    for material in spec.materials:
        material.reflectance = 0.0  # a reflection renders the scene a second time


def _tune_robot(spec: Any, mujoco: Any) -> None:
    """Lets the simulated robot reach what the real one reaches, as fast.

    The MJCF's gains leave the head up to 14 degrees off and need half a second for a small step; servos do it in less
    than a tenth. Its colliders are convex hulls, which block poses inside the SDK's envelope: head and body do not
    collide here.
    """
    for actuator in spec.actuators:
        actuator.gainprm[0] = STIFFNESS
        actuator.biasprm[1] = -STIFFNESS
        actuator.biasprm[2] = -DAMPING
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST  # stays stable with these gains
    spec.add_exclude(bodyname1=HEAD_BODY, bodyname2=TRUNK_BODY)


def _add_eye_camera(spec: Any) -> None:
    """Puts a camera where the SDK's calibration has it (the MJCF's own sits 4 mm off)."""
    site = spec.site(HEAD_SITE)
    head = np.eye(4)
    w, x, y, z = site.quat
    head[:3, :3] = rotation_from_quaternion((x, y, z, w))
    head[:3, 3] = site.pos
    optical_to_mujoco = np.diag([1.0, -1.0, -1.0, 1.0])  # MuJoCo's cameras look along -z with y up
    camera = head @ reachy_mini.HEAD_TO_CAMERA @ optical_to_mujoco
    x, y, z, w = quaternion_from_rotation(camera)
    spec.body(HEAD_BODY).add_camera(
        name=EYE_CAMERA, pos=camera[:3, 3], quat=[w, x, y, z], fovy=math.degrees(reachy_mini.CAMERA_FOVY)
    )


def _add_visitor(spec: Any, mujoco: Any, *, with_portrait: bool) -> None:
    """Adds a board on a mocap body. Body frame: x from the board's face to whom it faces, z up."""
    body = spec.worldbody.add_body(name=VISITOR_BODY, mocap=True, pos=VISITOR_AWAY)
    if not with_portrait:
        return
    height, width = (stop - start for start, stop in (assets.PORTRAIT_ROWS, assets.PORTRAIT_COLUMNS))
    half_width = VISITOR_HALF_HEIGHT * width / height
    pixels = _portrait()
    texture = spec.add_texture(name="portrait", type=mujoco.mjtTexture.mjTEXTURE_2D)
    texture.width, texture.height, texture.nchannel = width, height, 3
    texture.data = pixels.tobytes()
    texture.colorspace = mujoco.mjtColorSpace.mjCOLORSPACE_LINEAR
    material = spec.add_material(name="portrait", emission=0.6, specular=0.0, shininess=0.0)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "portrait"
    # A plane's normal is its z: turned to the body's x and, for whoever stands behind the board, to its -x, with the
    # picture's up along the body's z.
    sides = (("portrait", 0.0, [0.5, 0.5, 0.5, 0.5]), ("portrait_back", -0.012, [0.5, 0.5, -0.5, -0.5]))
    for name, depth, quaternion in sides:
        body.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_PLANE,
            pos=[depth, 0, 0],
            size=[half_width, VISITOR_HALF_HEIGHT, 0.01],
            quat=quaternion,
            material="portrait",
            contype=0,
            conaffinity=0,
        )
    body.add_geom(
        name="board",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=[-0.006, 0, 0],
        size=[0.004, half_width + 0.01, VISITOR_HALF_HEIGHT + 0.01],
        rgba=[0.25, 0.2, 0.18, 1],
        contype=0,
        conaffinity=0,
    )


def _image(path: Path) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise SimulatorUnavailable("Pillow is not installed, it reads pictures; pip install pillow") from error
    return Image.open(path).convert("RGB")


def _portrait() -> Any:
    picture = np.asarray(_image(assets.portrait_path()))
    rows, columns = slice(*assets.PORTRAIT_ROWS), slice(*assets.PORTRAIT_COLUMNS)
    return np.ascontiguousarray(picture[rows, columns])


def _drop_geoms(spec: Any, variant: Variant) -> None:
    for geom in list(spec.geoms):
        collides = bool(geom.contype or geom.conaffinity)
        on_robot = geom.meshname and not geom.name
        if variant == "physics":
            unwanted = not collides
        elif not on_robot:
            unwanted = geom.name == "table_top_collision"
        elif collides:
            unwanted = True
        elif variant == "camera":
            unwanted = geom.meshname not in SEEN_BY_EYE
        else:
            unwanted = geom.meshname.startswith(HIDDEN_INSIDE)
        if unwanted:
            spec.delete(geom)


def _drop_unused_meshes(spec: Any) -> None:
    used = {geom.meshname for geom in spec.geoms if geom.meshname}
    for mesh in list(spec.meshes):
        if (mesh.name or Path(mesh.file).stem) not in used:
            spec.delete(mesh)


def _drop_pictures(spec: Any) -> None:
    for geom in spec.geoms:
        geom.material = ""
    for mesh in spec.meshes:
        mesh.material = ""
    for element in [*spec.materials, *spec.textures]:
        spec.delete(element)


def _shrink_textures(spec: Any, mujoco: Any, folder: Path, size: int) -> None:
    for texture in spec.textures:
        if not texture.file:
            if texture.height > 6 * size // 4:  # the sky: six faces, stacked
                texture.width, texture.height = size // 4, 6 * (size // 4)
            continue
        # Pictures from a file are taken as linear unless they say otherwise; given as data they must be declared.
        if texture.colorspace == mujoco.mjtColorSpace.mjCOLORSPACE_AUTO:
            texture.colorspace = mujoco.mjtColorSpace.mjCOLORSPACE_LINEAR
        picture = _image(folder / texture.file)
        picture.thumbnail((size, size))
        texture.file = ""
        texture.width, texture.height = picture.size
        texture.nchannel = 3
        texture.data = picture.tobytes()


def _simplify_robot(spec: Any, mujoco: Any, folder: Path, variant: Variant) -> None:
    for mesh in spec.meshes:
        if not mesh.file.lower().endswith(".stl"):
            continue
        name = mesh.name or Path(mesh.file).stem
        film = MECHANICS_FACES if name.startswith(MECHANICS) else FILM_FACES
        limit = SEEN_BY_EYE.get(name, 0) if variant == "camera" else film
        if not limit:
            continue
        vertices, faces = meshes.simplify(*meshes.read_stl(folder / mesh.file), limit)
        if variant == "film" and name in THICKER:
            vertices = meshes.inflate(vertices, faces, THICKER[name])
        mesh.name = name
        mesh.file = ""
        mesh.uservert = vertices.ravel()
        mesh.userface = faces.ravel()
        # A coarse shell is no closed volume; masses come from the MJCF, not from here.
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
