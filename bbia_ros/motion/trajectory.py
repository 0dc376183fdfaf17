"""From one pose to another in a given time: minimum jerk, linear, ease in/out, cartoon.

An interpolation maps the share of time s in [0, 1] to the share of the way: 0 at 0, 1 at 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from bbia_ros.motion.pose import Pose

Interpolation = Callable[[float], float]


def minimum_jerk(s: float) -> float:
    """Rest to rest with the least jerk (Flash and Hogan 1985): 10 s^3 - 15 s^4 + 6 s^5."""
    return s * s * s * (10.0 + s * (6.0 * s - 15.0))


def linear(s: float) -> float:
    """Constant speed; the limiter rounds its ends."""
    return s


def ease_in_out(s: float) -> float:
    """Half a cosine: softer in the middle than minimum jerk, with a kick at both ends."""
    return 0.5 - 0.5 * math.cos(math.pi * s)


def cartoon(s: float) -> float:
    """Winds up by 10 % of the way, overshoots by 10 %, settles; starts and ends at rest.

    Minimum jerk plus a wave with a double zero at both ends.
    """
    return minimum_jerk(s) - 1.03 * math.sin(2.0 * math.pi * s) * s * (1.0 - s)


INTERPOLATIONS: Final[dict[str, Interpolation]] = {
    "minimum_jerk": minimum_jerk,
    "linear": linear,
    "ease_in_out": ease_in_out,
    "cartoon": cartoon,
}


def interpolation(name: str) -> Interpolation:
    """The interpolation of that name; minimum jerk for an empty one.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        return INTERPOLATIONS[name or "minimum_jerk"]
    except KeyError:
        raise ValueError(f"there is no interpolation {name!r}; there are {', '.join(INTERPOLATIONS)}") from None


def between(start: Pose, end: Pose, s: float, shape: Interpolation = minimum_jerk) -> Pose:
    """The pose at share `s` of the time, which is clipped to [0, 1]."""
    return start + shape(min(1.0, max(0.0, s))) * (end - start)
