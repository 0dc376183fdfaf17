"""sensor_msgs/Image to and from numpy, without OpenCV for the encodings that robots use."""

from __future__ import annotations

import array
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

Rgb = NDArray[np.uint8]

_CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}


class ImageError(ValueError):
    """An image message that cannot be used; the text says why."""


def to_rgb(message: Image) -> Rgb:
    """The picture as height x width x 3, uint8, RGB. Copies only where the encoding asks for it.

    rgb8, bgr8, rgba8, bgra8 and mono8 are converted with numpy; any other encoding by cv_bridge where ROS provides it.

    Raises:
        ImageError: size, step and data do not fit, or the encoding is unknown.
    """
    channels = _CHANNELS.get(message.encoding)
    if channels is None:
        return _by_cv_bridge(message)
    height, width, step = message.height, message.width, message.step
    if height == 0 or width == 0:
        raise ImageError(f"image of {width}x{height} pixels is empty")
    if step < width * channels:
        raise ImageError(f"image step {step} is shorter than a row of {width} pixels in {message.encoding}")
    if len(message.data) != height * step:
        raise ImageError(
            f"image of {height} rows of {step} bytes carries {len(message.data)} bytes, not {height * step}"
        )
    rows = np.frombuffer(message.data, dtype=np.uint8).reshape(height, step)
    pixels = rows[:, : width * channels].reshape(height, width, channels)
    if message.encoding == "rgb8":
        return pixels
    if message.encoding == "mono8":
        return np.repeat(pixels, 3, axis=2)
    if message.encoding == "rgba8":
        return np.ascontiguousarray(pixels[:, :, :3])
    return np.ascontiguousarray(pixels[:, :, 2::-1])


def _by_cv_bridge(message: Image) -> Rgb:
    known = ", ".join(_CHANNELS)
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except Exception as error:  # the module of that name on PyPI fails in many ways
        raise ImageError(
            f"image encoding '{message.encoding}' is not one of {known}, and cv_bridge is not there"
        ) from error
    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(message, "rgb8"), dtype=np.uint8)
    except (CvBridgeError, RuntimeError, TypeError) as error:
        raise ImageError(
            f"image encoding '{message.encoding}' is not one of {known}, and cv_bridge refused it: {error}"
        ) from error


def from_rgb(pixels: Rgb, header: Header) -> Image:
    """An rgb8 message of a picture height x width x 3, uint8, RGB.

    Raises:
        ImageError: the array has another shape or type.
    """
    from sensor_msgs.msg import Image

    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ImageError(f"a picture must be height x width x 3 of uint8, got {pixels.shape} of {pixels.dtype}")
    message = Image(
        header=header, height=pixels.shape[0], width=pixels.shape[1], encoding="rgb8", step=pixels.shape[1] * 3
    )
    data = array.array("B")  # rclpy copies an array in one go; a list or bytes is checked element by element
    data.frombytes(np.ascontiguousarray(pixels).data)
    message.data = data
    return message
