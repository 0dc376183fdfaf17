"""Parameters of the driver node."""

from __future__ import annotations

from dataclasses import dataclass

from bbia_ros.ros.parameters import nested, param


@dataclass(frozen=True)
class CameraParameters:
    """The eye."""

    width: int = param(320, "width of camera/image_raw [pixels]", minimum=64, maximum=1280, read_only=True)
    height: int = param(240, "height of camera/image_raw [pixels]", minimum=48, maximum=960, read_only=True)
    rate_hz: float = param(
        10.0, "pictures per second while somebody subscribes [Hz] (mujoco)", minimum=0.5, maximum=30.0, read_only=True
    )
    fovy_deg: float = param(
        80.0, "vertical field of view of the lens [deg] (reachy; the simulated eye has 80)", minimum=20.0, maximum=140.0
    )


@dataclass(frozen=True)
class AudioParameters:
    """Ears and voice."""

    speaker_recording: str = param(
        "", "WAV file to which everything that the loudspeaker plays is written, silence included; empty: none"
    )
    microphone_recording: str = param("", "WAV file to which all that the microphone hears is written; empty: none")


@dataclass(frozen=True)
class DriverParameters:
    """All parameters of the driver."""

    backend: str = param("mujoco", "which robot", choices=("mujoco", "reachy", "mock"), read_only=True)
    scene: str = param(
        "minimal", "minimal or empty (scenes of the reachy-mini package), or the path of an MJCF file (mujoco)",
        read_only=True,
    )  # fmt: skip
    host: str = param("", "machine with the robot's daemon; empty: this one or the usual name (reachy)", read_only=True)
    media: bool = param(True, "use the robot's camera and sound (reachy)", read_only=True)
    camera: CameraParameters = nested(CameraParameters)
    audio: AudioParameters = nested(AudioParameters)
