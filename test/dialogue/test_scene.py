from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from bbia_ros.dialogue.labels import definite, find_label, listed, spoken
from bbia_ros.dialogue.scene import FRESH_S, REMEMBERED_S, Scene, Thing


def test_sees_what_most_of_the_last_images_show() -> None:
    scene = Scene()
    for now, labels in enumerate([["apple"], ["apple", "duck"], ["apple", "duck"], ["duck"], ["apple", "ghost"]]):
        scene.see_things([Thing(label) for label in labels], now * 0.1)
    assert scene.view(0.5).counts() == {"apple": 1, "duck": 1}


def test_old_images_say_nothing_about_now() -> None:
    scene = Scene()
    assert not scene.view(0.0).watching
    scene.see_things([Thing("apple")], 0.0)
    scene.see_faces(2, 0.0)
    assert scene.view(FRESH_S).counts() == {"apple": 1}
    assert scene.view(FRESH_S).people == 2
    later = scene.view(FRESH_S + 0.1)
    assert (later.watching, later.things, later.lately) == (False, (), ("apple",))
    assert (later.watching_people, later.people) == (False, 0)
    assert scene.view(REMEMBERED_S + 0.1).lately == ()


def test_a_thing_that_left_is_remembered_for_a_while() -> None:
    scene = Scene()
    scene.see_things([Thing("cup")], 0.0)
    for step in range(5):
        scene.see_things([], 1.0 + step * 0.1)
    view = scene.view(1.5)
    assert view.watching
    assert view.things == ()
    assert view.lately == ("cup",)
    assert view.knows("cup")


def test_counts_twins() -> None:
    scene = Scene()
    for now in range(3):
        scene.see_things([Thing("duck", 0.3), Thing("duck", -0.3)], now * 0.1)
    view = scene.view(0.3)
    assert view.counts() == {"duck": 2}
    assert [thing.side for thing in view.things] == ["left", "right"]
    assert Thing("duck").side == ""
    assert Thing("duck", math.radians(5)).side == "ahead"


def test_names_in_both_languages() -> None:
    assert spoken("apple", 1, "en") == "an apple"
    assert spoken("person", 2, "en") == "two people"
    assert spoken("cake", 2, "fr") == "deux gâteaux"
    assert definite("orange", "fr") == "l'orange"
    assert listed(["a", "b", "c"], "fr") == "a, b et c"


def test_finds_labels_in_what_people_say() -> None:
    assert find_label("the red appels", forgiving=True) == "apple"
    assert find_label("the red appels") is None
    assert find_label("rubber duck") == "duck"
    assert find_label("canards") == "duck"
    assert find_label("ours en peluche") in (None, "teddy bear")
    assert find_label("screwdriver", ["Screwdriver"]) == "Screwdriver"
    assert find_label("democracy") is None
    assert find_label("") is None


@given(st.lists(st.lists(st.sampled_from(["apple", "duck"]), max_size=4), max_size=8))
def test_never_claims_more_than_an_image_showed(frames: list[list[str]]) -> None:
    scene = Scene()
    for index, labels in enumerate(frames):
        scene.see_things([Thing(label) for label in labels], index * 0.1)
    for label, count in scene.view(len(frames) * 0.1).counts().items():
        assert count <= max(frame.count(label) for frame in frames[-5:])
