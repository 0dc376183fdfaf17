from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
from PIL import Image

from bbia_ros.demo.film import (
    FPS,
    HEIGHT,
    SAMPLE_RATE,
    WIDTH,
    Moment,
    Track,
    compose,
    encode,
    mix_sound,
    read_track,
    spoken_tracks,
    stills,
    storyboard,
)
from bbia_ros.msg import AudioChunk, Detection, DetectionArray, SimulationState, StackStatus
from bbia_ros.stage.node import Heard

SECOND = 1_000_000_000


def moment(**changes: object) -> Moment:
    values = {
        "stamp_ns": 0,
        "subtitle": "",
        "mode": "idle",
        "mood": "calm",
        "megabytes": 100.0,
        "models": (),
        "boxes": (),
        "image_size": (320, 240),
    }
    return Moment(**(values | changes))  # type: ignore[arg-type]


def test_the_storyboard_has_one_moment_per_frame_with_what_held_then() -> None:
    objects = DetectionArray(image_width=320, image_height=240, detections=[Detection(label="apple", score=0.9)])
    history = {
        "driver/simulation_state": [Heard(0, SimulationState()), Heard(2 * SECOND, SimulationState())],
        "manager/status": [Heard(SECOND, StackStatus(mode="converse", total_pss_bytes=5_000_000))],
        "perception/objects": [Heard(SECOND, objects)],
        "perception/faces": [],
        "emotion/robot": [],
    }
    moments = storyboard(history, [(SECOND, SECOND + 1, "hello")])
    assert len(moments) == 2 * FPS
    assert moments[0].mode == ""
    assert moments[FPS].mode == "converse"
    assert moments[FPS].subtitle == "hello"
    assert moments[FPS].boxes[0][0] == "apple 0.90"
    assert moments[-1].boxes == ()  # an old detection is not shown as if it were new


def test_boxes_are_scaled_to_the_eye_view() -> None:
    eye = np.zeros((480, 640, 3), np.uint8)
    frame = compose(
        moment(boxes=(("apple", 320, 240, 160, 120),), image_size=(640, 480)), np.zeros((360, 480, 3), np.uint8), eye
    )
    view = np.asarray(frame)[:240, 640:]
    rows, columns = np.nonzero(view[:, :, 0] > 200)
    assert abs(int(columns.max()) - 240) <= 1
    assert abs(int(rows.max()) - 180) <= 1


def test_a_long_subtitle_is_wrapped_and_cut_to_the_frame() -> None:
    frame = compose(moment(subtitle="word " * 100), np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8))
    assert frame.size == (WIDTH, HEIGHT)
    assert (np.asarray(frame)[480:, -10:] == (24, 28, 34)).all()


def test_sound_is_resampled_placed_and_clipped() -> None:
    tone = np.full(8000, 30_000, np.int16)
    mixed = mix_sound(
        100.0,
        3.0,
        [Track(101.0, 8000, tone), Track(101.5, 8000, tone), Track(99.5, 8000, tone), Track(200.0, 8000, tone)],
    )
    assert mixed[int(0.25 * SAMPLE_RATE)] == 30_000  # the half that began before the film
    assert mixed[int(0.75 * SAMPLE_RATE)] == 0
    assert mixed[int(1.75 * SAMPLE_RATE)] == 32_767
    assert mixed[int(2.75 * SAMPLE_RATE)] == 0


def test_spoken_tracks_are_cut_at_a_flush() -> None:
    def chunk(at_ms: int, utterance: str, flush: bool = False) -> Heard:
        samples = [] if flush else [1] * 320
        message = AudioChunk(samples=samples, utterance_id=utterance, sample_rate=16_000, channels=1, flush=flush)
        message.header.stamp.nanosec = at_ms * 1_000_000
        return Heard(at_ms * 1_000_000, message)

    tracks = spoken_tracks([chunk(0, "a"), chunk(0, "a"), chunk(0, "a"), chunk(30, "a", flush=True), chunk(100, "b")])
    assert [len(track.samples) for track in tracks] == [480, 320]


def test_the_film_plays_with_sound(tmp_path: Path) -> None:
    picture = Image.new("RGB", (WIDTH, HEIGHT), (10, 200, 10))
    assert encode(tmp_path / "f.mp4", iter([picture] * 5), np.zeros(SAMPLE_RATE // 2, np.int16)) == 5
    with av.open(str(tmp_path / "f.mp4")) as film:
        assert {stream.type for stream in film.streams} == {"video", "audio"}
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 5
    assert abs(int(frames[2][100, 100, 1]) - 200) < 12


def test_a_wav_of_two_channels_gives_its_first(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "x.wav"), "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(np.array([[1, 9], [2, 9]], "<i2").tobytes())
    track = read_track(tmp_path / "x.wav", 3.0)
    assert (track.rate, track.samples.tolist()) == (8000, [1, 2])


def test_stills_are_the_nearest_frames() -> None:
    moments = [moment(stamp_ns=i * SECOND) for i in range(5)]
    assert stills(moments, {2 * SECOND - 5: "middle", 2**62: "end"}) == {2: "middle", 4: "end"}
