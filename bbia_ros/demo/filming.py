"""Makes the film of a run from its messages: two workers render alternate frames, this process composes and encodes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bbia_ros.demo.film import FPS, Moment, Track, as_picture, compose, encode, mix_sound, stills, storyboard
from bbia_ros.demo.play import LINES, Run
from bbia_ros.demo.report import Picture
from bbia_ros.residency import ModelSpec, Pool

RENDERERS = 2
"""Workers that render side by side."""
RENDER_TIMEOUT_S = 600.0
LINGER_NS = 1_500_000_000
"""How long a subtitle stays after its words [ns]."""


@dataclass(frozen=True)
class Film:
    """What filming gave.

    Attributes:
        path: of the film.
        frames: how many it has.
        pictures: stills for the report.
    """

    path: Path
    frames: int
    pictures: list[Picture]


def subtitles(run: Run, history: Mapping[str, Sequence[Any]]) -> list[tuple[int, int, str]]:
    """(start [ns], end [ns], text) of every line and answer."""
    lines = []
    for key, (start_s, duration_s) in run.said.items():
        start = int(start_s * 1e9)
        lines.append((start, start + int(duration_s * 1e9) + LINGER_NS // 3, f"Visitor: {LINES[key]}"))
    turns = [h for h in history["dialogue/turns"] if h.message.role == "robot" and h.message.final]
    for heard in turns:
        done = [
            p.stamp_ns
            for p in history["audio/playback"]
            if p.message.done and p.message.utterance_id == heard.message.utterance_id
        ]
        end = (done[0] if done else heard.stamp_ns) + LINGER_NS
        lines.append((heard.stamp_ns, end, f"Robot: {heard.message.text}"))
    lines.sort()
    ends = [start for start, _, _ in lines[1:]] + [2**63]
    return [(start, min(end, following), text) for (start, end, text), following in zip(lines, ends, strict=True)]


def wanted_stills(run: Run) -> dict[int, str]:
    """Time [ns] -> caption of the report's pictures."""
    wanted = {}
    for chapter, following in zip(run.chapters[1:], run.chapters[2:], strict=False):
        wanted[int((chapter.start_s + 0.75 * (following.start_s - chapter.start_s)) * 1e9)] = chapter.title
    if run.chapters:
        wanted[2**62] = "Asleep again"
    return wanted


def make_film(
    path: Path,
    run: Run,
    history: Mapping[str, Sequence[Any]],
    sound: Sequence[Track],
    progress: Callable[[int, int], None],
) -> Film | None:
    """Renders, composes and encodes, the whole film or none of it; None when no state of the simulator was recorded.

    Args:
        path: of the film, ending in .mp4.
        run: for subtitles and stills.
        history: the stage's messages.
        sound: what is heard.
        progress: told (frames done, frames in all).

    Raises:
        ResidencyError: the renderer failed.
        OSError: the film cannot be written.
    """
    moments = storyboard(history, subtitles(run, history))
    if not moments:
        return None
    captions = stills(moments, wanted_stills(run))
    pictures: dict[int, Picture] = {}

    def frames() -> Generator[Image.Image, None, None]:
        with _rendered(moments, history["driver/simulation_state"]) as rendered:
            for index, (moment, views) in enumerate(zip(moments, rendered, strict=False)):
                frame = compose(moment, views["outside"], views["eye"])
                if index in captions:
                    pictures[index] = as_picture(frame, captions[index])
                progress(index + 1, len(moments))
                yield frame

    mixed = mix_sound(1e-9 * moments[0].stamp_ns, len(moments) / FPS, sound)
    partial = path.with_name(f".{path.name}")
    try:
        with closing(frames()) as composed:  # which ends the workers, however this ends
            count = encode(partial, composed, mixed)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return Film(path, count, [pictures[index] for index in sorted(pictures)])


@contextmanager
def _rendered(moments: Sequence[Moment], states: Sequence[Any]) -> Iterator[Iterator[dict[str, Any]]]:
    """The views of each moment, in order, rendered by workers that end with the context."""
    stamps = np.array([heard.stamp_ns for heard in states])
    wanted = np.array([moment.stamp_ns for moment in moments])
    chosen = [states[i].message for i in np.maximum(0, np.searchsorted(stamps, wanted, side="right") - 1)]
    pool = Pool(budget_mb=None, ledger=None)
    try:
        streams = []
        for number in range(RENDERERS):
            share = chosen[number::RENDERERS]
            lease = pool.acquire(
                ModelSpec(f"film {number}", "film", "bbia_ros.driver.sim.film:FilmEngine", nice=5, ttl_s=0.0)
            )
            columns = [np.array([getattr(s, name) for s in share]) for name in ("qpos", "mocap_pos", "mocap_quat")]
            # A share is a recording of one configuration per frame, replayed at one frame per second.
            times = np.arange(len(share), dtype=np.float64)
            streams.append(lease.stream("frames", times, *columns, 1.0, timeout_s=RENDER_TIMEOUT_S))
        yield _interleave(streams)
    finally:
        pool.close()


def _interleave(streams: Sequence[Any]) -> Iterator[dict[str, Any]]:
    iterators = [iter(stream) for stream in streams]
    while True:
        for iterator in iterators:
            try:
                item = next(iterator)
            except StopIteration:
                return
            yield item
