"""Whatever comes in, what leaves is inside the envelope, reachable and slow enough."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bbia_ros.driver.kinematics import Kinematics
from bbia_ros.driver.reachy_mini import ENVELOPE
from bbia_ros.motion.limiter import ACCELERATION, SPEED, Limiter
from bbia_ros.motion.pose import BODY, NEUTRAL, PITCH, ROLL, SLEEP, YAW, Pose, Z, head_matrix

DT = 0.01
ANY = st.floats(allow_nan=False, allow_infinity=False, width=32)
PLAUSIBLE = (
    [st.floats(-0.05, 0.05)] * 3 + [st.floats(-1.2, 1.2)] * 3 + [st.floats(-3.0, 3.0)] + [st.floats(-3.5, 3.5)] * 2
)
WISHES = st.tuples(*PLAUSIBLE).map(np.array) | st.tuples(*[ANY] * 9).map(np.array)


@pytest.fixture(scope="module")
def kinematics() -> Kinematics:
    return Kinematics()


def relative(pose: Pose) -> Pose:
    return pose - np.eye(9)[YAW] * pose[BODY]


@settings(max_examples=80, deadline=None)
@given(
    wishes=st.lists(st.tuples(WISHES, st.integers(1, 40)), min_size=1, max_size=6),
    start=st.sampled_from([NEUTRAL, SLEEP]),
)
def test_any_wish_leaves_inside_reachable_and_within_rates(
    kinematics: Kinematics, wishes: list[tuple[Pose, int]], start: Pose
) -> None:
    limiter = Limiter(kinematics)
    before, velocity = relative(limiter.reset(start)), np.zeros(9)
    for wish, ticks in wishes:
        for _ in range(ticks):
            held = limiter.held
            pose = limiter.step(wish, DT)
            e = ENVELOPE
            assert abs(pose[ROLL]) <= e.roll + 1e-9
            assert abs(pose[PITCH]) <= e.pitch + 1e-9
            assert abs(pose[YAW]) <= e.head_yaw + 1e-9
            assert abs(pose[BODY]) <= e.body_yaw + 1e-9
            assert abs(pose[YAW] - pose[BODY]) <= e.relative_yaw + 1e-9
            assert kinematics.feasible(head_matrix(pose), pose[BODY])
            now = (relative(pose) - before) / DT
            assert (np.abs(now) <= SPEED * (1 + 1e-6) + 1e-9).all()
            if limiter.held == held:
                assert (np.abs(now - velocity) <= ACCELERATION * DT * (1 + 1e-6) + 1e-9).all()
            before, velocity = relative(pose), now


def test_a_gentle_wish_passes_unchanged(kinematics: Kinematics) -> None:
    limiter = Limiter(kinematics)
    limiter.reset(NEUTRAL)
    for tick in range(200):
        wish = NEUTRAL.copy()
        wish[PITCH] = 0.2 * (1 - math.cos(2 * math.pi * tick * DT))
        assert limiter.step(wish, DT) == pytest.approx(wish, abs=1e-9)
    assert limiter.limited == 0


@pytest.mark.parametrize("axis", [Z, ROLL, PITCH, YAW, BODY])
def test_a_jump_is_reached_without_overshoot(kinematics: Kinematics, axis: int) -> None:
    limiter = Limiter(kinematics)
    limiter.reset(NEUTRAL)
    wish = NEUTRAL.copy()
    wish[axis] -= 0.4 if axis != Z else 0.02
    way = [limiter.step(wish, DT)[axis] for _ in range(300)]
    assert way[-1] == pytest.approx(wish[axis], abs=1e-9)
    assert min(way) >= wish[axis] - 1e-6


def test_an_unreachable_wish_keeps_the_gaze_and_is_counted(kinematics: Kinematics) -> None:
    limiter = Limiter(kinematics)
    limiter.reset(NEUTRAL)
    wish = NEUTRAL.copy()
    wish[PITCH], wish[Z] = 0.6, 0.02
    for _ in range(200):
        pose = limiter.step(wish, DT)
    assert pose[PITCH] == pytest.approx(0.6, abs=1e-6)
    assert pose[Z] < 0.01
    assert limiter.limited == 200


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_refused_and_changes_nothing(kinematics: Kinematics, bad: float) -> None:
    limiter = Limiter(kinematics)
    limiter.reset(NEUTRAL)
    wish = NEUTRAL.copy()
    wish[PITCH] = bad
    with pytest.raises(ValueError, match="finite"):
        limiter.step(wish, DT)
    assert limiter.step(NEUTRAL, DT) == pytest.approx(NEUTRAL)
