from __future__ import annotations

import json
import re
from pathlib import Path

from bbia_ros.demo.measure import Finding
from bbia_ros.demo.memory import Sample
from bbia_ros.demo.play import Chapter, Run
from bbia_ros.demo.plots import memory_series
from bbia_ros.demo.report import Picture, write_report
from bbia_ros.demo.topics import TOPICS
from bbia_ros.msg import DialogueTurn, Emotion, ModelStatus, ProcessStatus, StackStatus
from bbia_ros.stage.node import Heard

SECOND = 1_000_000_000


def status(**models: int) -> StackStatus:
    return StackStatus(
        mode="converse",
        processes=[ProcessStatus(name="brain", pid=1, pss_bytes=50_000_000)],
        models=[ModelStatus(name=n, pid=pid, pss_bytes=100_000_000) for n, pid in models.items()],
    )


def test_models_that_share_a_worker_count_once() -> None:
    series = memory_series([status(chat=7, stt=7), status(chat=7, objects=9)])
    assert series == {"process brain": [50.0, 50.0], "chat": [100.0, 100.0], "objects": [0.0, 100.0]}


def test_the_report_is_one_file_that_names_what_was_missed(tmp_path: Path) -> None:
    run = Run(
        findings=[Finding("a", "wakes up", "it did", True), Finding("b", "answers <fast>", "slow", False)],
        figures={"memory.x": (12.5, "MB")},
        chapters=[Chapter("one", 100.0), Chapter("two", 101.0)],
        latencies={"see": 1.2},
    )
    history: dict[str, list[Heard]] = {topic.name: [] for topic in TOPICS}
    history["manager/status"] = [Heard(100 * SECOND, status(chat=7)), Heard(102 * SECOND, status())]
    history["dialogue/turns"] = [
        Heard(101 * SECOND, DialogueTurn(role="robot", text="An apple & a duck.", final=True, source="rule"))
    ]
    history["emotion/robot"] = [Heard(101 * SECOND, Emotion(label="happy", valence=0.5))]
    history["emotion/user"] = [Heard(101 * SECOND, Emotion(source="text", label="sad", valence=-0.5))]
    path = tmp_path / "report.html"
    write_report(path, run, history, [Sample(100.5, 300_000_000, 2)], [Picture("a still", b"jpeg")], "demo.mp4")
    page = path.read_text(encoding="utf-8")
    assert "1 of 2 expectations missed" in page
    assert "answers &lt;fast&gt;" in page
    assert "An apple &amp; a duck." in page
    assert "Peak memory of the whole stack, simulation included: 300 MB" in page
    assert not re.search(r"(src|href)='(?!data:|demo\.mp4)", page)  # nothing but the film lies elsewhere
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert figures["figures"]["memory.x"] == {"value": 12.5, "unit": "MB"}
    assert [f["passed"] for f in figures["findings"]] == [True, False]
