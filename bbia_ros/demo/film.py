"""The film of a run: outside view, eye view with boxes, subtitles; rendered after the play from recorded states."""

from __future__ import annotations

import bisect
import io
import wave
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bbia_ros.demo.measure import seconds
from bbia_ros.demo.report import Picture

Rgb = NDArray[np.uint8]

FPS = 10
WIDTH, HEIGHT = 960, 540
OUTSIDE = (640, 480)
EYE = (320, 240)
SAMPLE_RATE = 16_000
FULL_BAR_MB = 1400.0
"""Memory at which the bar is full [MB]."""
INK, PAPER, ACCENT, QUIET = (240, 240, 240), (24, 28, 34), (224, 164, 88), (150, 158, 168)


@dataclass(frozen=True)
class Moment:
    """What one frame of the film shows besides the pictures.

    Attributes:
        stamp_ns: of the state that it is rendered from.
        subtitle: who says what, or empty.
        mode: of the stack.
        mood: of the robot.
        megabytes: total memory of the stack.
        models: names of the models in memory.
        boxes: (label, x, y, width, height) in pixels of an image of `image_size`.
        image_size: width and height that the boxes refer to.
    """

    stamp_ns: int
    subtitle: str
    mode: str
    mood: str
    megabytes: float
    models: tuple[str, ...]
    boxes: tuple[tuple[str, int, int, int, int], ...]
    image_size: tuple[int, int]


def storyboard(history: Mapping[str, Sequence[Any]], subtitles: Sequence[tuple[int, int, str]]) -> list[Moment]:
    """One moment per frame, FPS of them per second, from the first simulation state to the last.

    Args:
        history: the stage's messages.
        subtitles: (start [ns], end [ns], text).
    """
    states = history["driver/simulation_state"]
    if not states:
        return []
    newest = {
        name: _newest_finder(history[name])
        for name in ("manager/status", "emotion/robot", "perception/objects", "perception/faces")
    }
    moments = []
    for stamp in range(states[0].stamp_ns, states[-1].stamp_ns, 1_000_000_000 // FPS):
        status, mood = newest["manager/status"](stamp, None), newest["emotion/robot"](stamp, None)
        objects, faces = (newest[name](stamp, 700_000_000) for name in ("perception/objects", "perception/faces"))
        boxes = [(f"{d.label} {d.score:.2f}", d.roi) for d in (objects.detections if objects else ())]
        boxes += [(f"face {f.track_id}", f.roi) for f in (faces.faces if faces else ())]
        sizes = [(m.image_width, m.image_height) for m in (objects, faces) if m is not None]
        moments.append(
            Moment(
                stamp,
                next((text for start, end, text in subtitles if start <= stamp <= end), ""),
                status.mode if status else "",
                mood.label if mood else "",
                status.total_pss_bytes / 1e6 if status else 0.0,
                tuple(m.name.partition(":")[0] for m in status.models if m.pid) if status else (),
                tuple((label, roi.x_offset, roi.y_offset, roi.width, roi.height) for label, roi in boxes),
                sizes[0] if sizes else EYE,
            )
        )
    return moments


def _newest_finder(heard: Sequence[Any]) -> Callable[[int, int | None], Any]:
    stamps = [item.stamp_ns for item in heard]

    def find(stamp: int, max_age_ns: int | None) -> Any:
        index = bisect.bisect_right(stamps, stamp) - 1
        if index < 0 or (max_age_ns is not None and stamp - stamps[index] > max_age_ns):
            return None
        return heard[index].message

    return find


def compose(moment: Moment, outside: Rgb, eye: Rgb) -> Image.Image:
    """One frame of the film."""
    frame = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    frame.paste(Image.fromarray(outside).resize(OUTSIDE, Image.Resampling.BILINEAR), (0, 0))
    view = Image.fromarray(eye).resize(EYE, Image.Resampling.BILINEAR)
    _draw_boxes(view, moment)
    frame.paste(view, (OUTSIDE[0], 0))
    draw = ImageDraw.Draw(frame)
    small, large = ImageFont.load_default(14), ImageFont.load_default(17)
    left, top = OUTSIDE[0] + 12, EYE[1] + 12
    draw.text((left, top), f"mode  {moment.mode}", INK, small)
    draw.text((left, top + 22), f"mood  {moment.mood}", ACCENT, small)
    draw.text((left, top + 44), f"memory  {moment.megabytes:.0f} MB", INK, small)
    width = WIDTH - left - 12
    draw.rectangle((left, top + 66, left + width, top + 74), outline=QUIET)
    draw.rectangle(
        (left, top + 66, left + int(width * min(1.0, moment.megabytes / FULL_BAR_MB)), top + 74), fill=ACCENT
    )
    for row, name in enumerate(moment.models[:8]):
        draw.text((left, top + 84 + 17 * row), name, QUIET, small)
    lines = _wrap(draw, moment.subtitle, large, WIDTH - 32)
    for row, line in enumerate(lines):
        draw.text((16, OUTSIDE[1] + (8 if len(lines) > 1 else 18) + 23 * row), line, INK, large)
    return frame


def _draw_boxes(view: Image.Image, moment: Moment) -> None:
    draw, font = ImageDraw.Draw(view), ImageFont.load_default(11)
    across, down = view.width / moment.image_size[0], view.height / moment.image_size[1]
    for label, x, y, width, height in moment.boxes:
        draw.rectangle((x * across, y * down, (x + width) * across, (y + height) * down), outline=ACCENT, width=2)
        draw.text((x * across + 3, max(0.0, y * down - 13)), label, ACCENT, font)


def _wrap(draw: ImageDraw.ImageDraw, text: str, font: Any, width: int, rows: int = 2) -> list[str]:
    """The text in at most `rows` lines of `width` pixels; what does not fit is cut with an ellipsis."""
    lines: list[str] = []
    for word in text.split():
        if lines and draw.textlength(f"{lines[-1]} {word}", font) <= width:
            lines[-1] += f" {word}"
        elif len(lines) < rows:
            lines.append(word)
        else:
            while lines[-1] and draw.textlength(lines[-1] + "…", font) > width:
                lines[-1] = lines[-1].rpartition(" ")[0]
            lines[-1] += "…"
            break
    return lines


@dataclass(frozen=True)
class Track:
    """A piece of sound in the film.

    Attributes:
        start_s: ROS time of its first sample [s].
        rate: [Hz].
        samples: mono, 16 bit.
    """

    start_s: float
    rate: int
    samples: NDArray[np.int16]


def read_track(path: Path, start_s: float) -> Track:
    """The first channel of a WAV file of 16 bit."""
    with wave.open(str(path), "rb") as source:
        samples = np.frombuffer(source.readframes(source.getnframes()), dtype="<i2")
        return Track(start_s, source.getframerate(), samples.reshape(-1, source.getnchannels())[:, 0])


def spoken_tracks(chunks: Sequence[Any]) -> list[Track]:
    """One track per utterance of the robot, from Heard AudioChunk messages; what was flushed is cut at the flush."""
    tracks: list[Track] = []
    utterance, start, rate = "", 0.0, SAMPLE_RATE
    pieces: list[NDArray[np.int16]] = []

    def finish(until_s: float | None = None) -> None:
        if pieces:
            samples = np.concatenate(pieces)
            kept = len(samples) if until_s is None else max(0, int((until_s - start) * rate))
            tracks.append(Track(start, rate, samples[:kept]))
        pieces.clear()

    for heard in chunks:
        chunk = heard.message
        if chunk.flush:
            finish(seconds(chunk.header.stamp))
        if chunk.utterance_id != utterance:
            finish()
            utterance = chunk.utterance_id
        if len(chunk.samples):
            if not pieces:
                start, rate = seconds(chunk.header.stamp), chunk.sample_rate
            pieces.append(np.array(chunk.samples, dtype=np.int16)[:: max(1, chunk.channels)])
    finish()
    return tracks


def mix_sound(start_s: float, duration_s: float, tracks: Iterable[Track]) -> NDArray[np.int16]:
    """Mixes tracks into one of 16 kHz, mono.

    Args:
        start_s: ROS time of the film's first frame [s].
        duration_s: length of the result [s]; what lies outside is cut.
        tracks: what sounds.
    """
    mixed = np.zeros(int(duration_s * SAMPLE_RATE) + 1, dtype=np.int32)
    for track in tracks:
        count = int(len(track.samples) * SAMPLE_RATE / track.rate)
        if count == 0:
            continue
        places = np.arange(count) * track.rate / SAMPLE_RATE
        resampled = np.interp(places, np.arange(len(track.samples)), track.samples)
        begin = int((track.start_s - start_s) * SAMPLE_RATE)
        cut = resampled[max(0, -begin) : max(0, len(mixed) - begin)]
        begin = max(0, begin)
        mixed[begin : begin + len(cut)] += cut.astype(np.int32)
    return np.clip(mixed, -32768, 32767).astype(np.int16)


def encode(path: Path, frames: Iterator[Image.Image], sound: NDArray[np.int16] | None) -> int:
    """Writes an H.264 film with AAC sound; returns the number of frames.

    Args:
        path: ending in .mp4.
        frames: pictures of WIDTH x HEIGHT.
        sound: mono at 16 kHz, or None.
    """
    import av

    count = 0
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        video: Any = container.add_stream("libx264", rate=FPS, options={"crf": "26", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio: Any = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono") if sound is not None else None
        for picture in frames:
            frame = av.VideoFrame.from_image(picture)
            frame.pts, frame.time_base = count, Fraction(1, FPS)
            for packet in video.encode(frame):
                container.mux(packet)
            count += 1
        for packet in video.encode(None):
            container.mux(packet)
        if audio is not None and sound is not None:
            _encode_sound(container, audio, sound)
    return count


def _encode_sound(container: Any, stream: Any, sound: NDArray[np.int16]) -> None:
    import av

    for start in range(0, len(sound), 1024):
        frame = av.AudioFrame.from_ndarray(sound[None, start : start + 1024], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
        for packet in stream.encode(frame):
            container.mux(packet)
    for packet in stream.encode(None):
        container.mux(packet)


def stills(moments: Sequence[Moment], wanted: Mapping[int, str]) -> dict[int, str]:
    """Index of the frame nearest to each wanted time [ns] -> its caption."""
    stamps = [moment.stamp_ns for moment in moments]
    return {
        min(bisect.bisect_left(stamps, stamp), len(stamps) - 1): caption for stamp, caption in wanted.items() if stamps
    }


def as_picture(frame: Image.Image, caption: str) -> Picture:
    """A still for the report."""
    buffer = io.BytesIO()
    frame.save(buffer, "JPEG", quality=85)
    return Picture(caption, buffer.getvalue())
