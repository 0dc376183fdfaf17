"""Identities are stable, unique and bounded, whatever the detector delivers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bbia_ros.perception.tracking import Tracker

BOX = st.tuples(st.floats(-20, 320), st.floats(-20, 240), st.floats(1, 200), st.floats(1, 200))
FRAMES = st.lists(st.lists(BOX, max_size=8), max_size=12)


def walk(tracker, boxes, rate=10.0, start=0.0):
    """Identities of a single box, frame by frame; None where it is missing."""
    identities = []
    for index, box in enumerate(boxes):
        found = tracker.update([] if box is None else [box], start + index / rate)
        identities.append(found[0] if found else None)
    return identities


def test_the_first_identity_is_one_and_it_is_given_at_once():
    assert Tracker().update([(10, 10, 40, 40)], 0.0) == [1]


def test_a_moving_box_keeps_its_identity():
    assert set(walk(Tracker(), [(10 + 12 * i, 50, 40, 50) for i in range(20)])) == {1}


def test_a_box_that_is_missed_for_a_few_frames_comes_back_as_itself():
    path = [(10 + 12 * i, 50, 40, 50) if i not in (8, 9, 10) else None for i in range(20)]
    assert set(walk(Tracker(coast_s=0.5), path)) == {1, None}


def test_a_box_that_was_away_for_long_is_somebody_new():
    path = [(50, 50, 40, 40)] * 3 + [None] * 10 + [(50, 50, 40, 40)]
    assert walk(Tracker(coast_s=0.5), path)[-1] == 2


def test_two_that_cross_keep_their_identities():
    tracker = Tracker()
    for index in range(21):
        left, right = (20 + 12 * index, 60, 40, 40), (260 - 12 * index, 75, 40, 40)
        assert tracker.update([left, right], index / 10) == [1, 2]


def test_the_order_of_the_boxes_does_not_matter():
    tracker = Tracker()
    a, b = (10, 10, 40, 40), (200, 100, 40, 40)
    assert tracker.update([a, b], 0.0) == [1, 2]
    assert tracker.update([b, a], 0.1) == [2, 1]


def test_an_apple_never_becomes_a_duck():
    tracker = Tracker()
    assert tracker.update([(10, 10, 40, 40)], 0.0, ["apple"]) == [1]
    assert tracker.update([(10, 10, 40, 40)], 0.1, ["duck"]) == [2]
    assert tracker.update([(10, 10, 40, 40)], 0.2, ["apple"]) == [1]


def test_a_turn_of_the_camera_does_not_change_identities():
    shift = 90.0
    plain, warped = Tracker(), Tracker()
    boxes = np.array([(50.0, 60.0, 30.0, 30.0), (140.0, 60.0, 30.0, 30.0)])
    for tracker in (plain, warped):
        assert tracker.update(boxes, 0.0) == [1, 2]
    moved = boxes + np.array([shift, 0, 0, 0])
    assert warped.update(moved, 0.1, warp=lambda u, v: (u + shift, v)) == [1, 2]
    assert plain.update(moved, 0.1) == [2, 3]  # without knowing of the turn, the first looks like the second


def test_what_turned_out_of_sight_is_forgotten():
    tracker = Tracker()
    tracker.update([(50, 60, 30, 30)], 0.0)
    assert tracker.update([], 0.1, warp=lambda u, v: (math.nan, math.nan)) == []
    assert len(tracker) == 0


def test_a_replay_that_starts_again_starts_with_new_identities():
    tracker = Tracker()
    assert tracker.update([(50, 60, 30, 30)], 100.0) == [1]
    assert tracker.update([(50, 60, 30, 30)], 1.0) == [2]


def test_when_there_is_no_room_the_less_certain_stay_without_identity():
    tracker = Tracker(max_tracks=2)
    boxes = [(10, 10, 20, 20), (100, 10, 20, 20), (200, 10, 20, 20)]
    assert tracker.update(boxes, 0.0) == [1, 2, 0]
    assert tracker.update(boxes[1:], 0.1) == [2, 3]  # the one not seen gives its place


@pytest.mark.parametrize("box", [(0, 0, 0, 10), (0, 0, 10, -1), (math.nan, 0, 10, 10), (0, math.inf, 10, 10)])
def test_an_impossible_box_is_refused(box):
    with pytest.raises(ValueError, match="boxes must be"):
        Tracker().update([box], 0.0)


def test_as_many_labels_as_boxes():
    with pytest.raises(ValueError, match="2 labels for 1 boxes"):
        Tracker().update([(0, 0, 10, 10)], 0.0, ["apple", "duck"])


@settings(max_examples=150, deadline=None)
@given(FRAMES, st.integers(1, 6), st.floats(0.01, 0.5))
def test_identities_are_unique_counted_up_and_bounded(frames, limit, period):
    tracker = Tracker(max_tracks=limit, coast_s=0.3)
    highest = 0
    for index, boxes in enumerate(frames):
        identities = tracker.update(boxes, index * period)
        assert len(identities) == len(boxes)
        named = [identity for identity in identities if identity]
        assert len(named) == len(set(named)) == min(len(boxes), limit)
        new = sorted(identity for identity in named if identity > highest)
        assert new == list(range(highest + 1, highest + 1 + len(new)))
        highest += len(new)
        assert len(tracker) <= limit


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 5),
    st.floats(-40, 40),
    st.floats(-40, 40),
    st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=5, max_size=25),
    st.randoms(use_true_random=False),
)
def test_things_apart_that_move_steadily_are_never_confused(count, speed_x, speed_y, noise, random):
    tracker = Tracker()
    known = {}
    for index, (du, dv) in enumerate(noise):
        order = list(range(count))
        random.shuffle(order)
        t = index / 10
        boxes = [(100 * thing + speed_x * t + du, 50 + speed_y * t + dv, 40, 40) for thing in order]
        for thing, identity in zip(order, tracker.update(boxes, t), strict=True):
            assert known.setdefault(thing, identity) == identity
