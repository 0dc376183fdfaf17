import shutil
from pathlib import Path

import pytest

from bbia_ros.manager.levels import Level, Thresholds, judge
from bbia_ros.manager.pressure import Absent, ControlGroup, PressureReader, Reading, Stall

MB = 1_000_000
MEMINFO = "MemTotal:        8000000 kB\nMemFree:          100000 kB\nMemAvailable:     500000 kB\n"
PSI = "some avg10={some} avg60=0.00 avg300=0.00 total=9\nfull avg10={full} avg60=0.00 avg300=0.00 total=3\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def machine(root: Path, **groups: dict[str, str]) -> Path:
    """A machine with PSI and version 2 groups; a key of `groups` is a path with __ for /."""
    write(root, {
        "proc/meminfo": MEMINFO,
        "proc/pressure/memory": PSI.format(some="1.50", full="0.25"),
        "proc/self/cgroup": "0::/robot/brain\n",
        "sys/fs/cgroup/cgroup.controllers": "memory\n",
    })  # fmt: skip
    for name, files in groups.items():
        write(root / "sys/fs/cgroup" / name.strip("_").replace("__", "/"), files)
    return root


def limits(high: str, maximum: str, current: int, inactive: int = 0) -> dict[str, str]:
    return {
        "memory.high": high + "\n", "memory.max": maximum + "\n", "memory.current": f"{current}\n",
        "memory.stat": f"anon 5\ninactive_file {inactive}\nactive_file 7\n",
        "memory.pressure": PSI.format(some="12.00", full="3.00"),
    }  # fmt: skip


def reason(value: object) -> str:
    assert isinstance(value, Absent)
    return value.reason


def test_memory_psi_and_the_group_are_read(tmp_path: Path) -> None:
    machine(tmp_path, robot__brain=limits("900000000", "1000000000", 800_000_000, inactive=300_000_000))
    reading = PressureReader(tmp_path).read()
    assert reading.available == 512_000_000
    assert reading.stall == Stall(1.5, 0.25)
    assert reading.group == ControlGroup("/robot/brain", 500_000_000, 900_000_000, Stall(12.0, 3.0))
    assert reading.group.headroom == 400_000_000


def test_the_group_above_counts_when_it_leaves_less(tmp_path: Path) -> None:
    machine(
        tmp_path, robot__brain=limits("max", "500000000", 100_000_000), robot=limits("max", "2000000000", 1_900_000_000)
    )
    group = PressureReader(tmp_path).read().group
    assert isinstance(group, ControlGroup)
    assert (group.path, group.headroom) == ("/robot", 100_000_000)


@pytest.mark.parametrize("own", ["/", "/../elsewhere"])
def test_a_container_sees_its_own_limit_at_the_root(tmp_path: Path, own: str) -> None:
    machine(tmp_path)
    write(tmp_path, {"proc/self/cgroup": f"0::{own}\n"})
    write(tmp_path / "sys/fs/cgroup", limits("max", "700000000", 600_000_000))
    group = PressureReader(tmp_path).read().group
    assert isinstance(group, ControlGroup)
    assert (group.path, group.limit) == ("/", 700_000_000)


def test_what_a_plain_machine_lacks_is_told_once_and_is_no_fault(tmp_path: Path) -> None:
    write(tmp_path, {"proc/meminfo": MEMINFO, "proc/self/cgroup": "4:memory:/user\n0::/\n"})
    reader = PressureReader(tmp_path)
    reading = reader.read()
    assert reading.available == 512_000_000
    assert "psi=1" in reason(reading.stall)
    assert "version 1" in reason(reading.group)
    news = reader.news(reading)
    assert [one.normal for one in news] == [True, True]
    assert reader.news(reader.read()) == []


def test_a_group_without_limits_is_no_limit(tmp_path: Path) -> None:
    machine(tmp_path, robot__brain=limits("max", "max", 100))
    assert reason(PressureReader(tmp_path).read().group) == "the control group /robot/brain has no memory limit"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("proc/meminfo", "MemFree: 3 kB\n", "has no MemAvailable"),
        ("proc/meminfo", "MemAvailable: lots\n", "is no number"),
        ("proc/pressure/memory", "", "does not tell"),
        ("proc/pressure/memory", "some avg10=nan\n", "does not tell"),
        ("proc/pressure/memory", "some avg10=120\x00\n", "does not tell"),
        ("sys/fs/cgroup/robot/brain/memory.max", "soon\n", "no number of bytes"),
    ],
)
def test_a_malformed_file_is_one_sentence_and_the_others_are_read(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    machine(tmp_path, robot__brain=limits("max", "900000000", 800_000_000))
    write(tmp_path, {name: text})
    reader = PressureReader(tmp_path)
    (told,) = reader.news(reader.read())
    assert says in told.reason
    assert not told.normal
    assert reader.news(reader.read()) == []
    verdict = judge(reader.read(), Thresholds())
    assert (verdict.headroom is None) == (name == "never")


def test_files_may_vanish_between_two_readings(tmp_path: Path) -> None:
    machine(tmp_path, robot__brain=limits("max", "900000000", 800_000_000))
    reader = PressureReader(tmp_path)
    assert isinstance(reader.read().group, ControlGroup)
    shutil.rmtree(tmp_path / "sys/fs/cgroup/robot")
    assert isinstance(reader.read().group, Absent)
    shutil.rmtree(tmp_path / "proc")
    reading = reader.read()
    assert isinstance(reading.available, Absent)
    assert len(reader.news(reading)) == 3
    assert judge(reading, Thresholds()).level == Level.EVEN


def test_this_machine_can_be_read() -> None:
    reading = PressureReader().read()
    assert isinstance(reading.available, int)
    assert reading.available > 10 * MB


def reading(available: int, some: float = 0.0, full: float = 0.0, group: ControlGroup | None = None) -> Reading:
    return Reading(available * MB, Stall(some, full), group if group is not None else Absent("none"))


@pytest.mark.parametrize(
    ("figures", "level", "says"),
    [
        (reading(900), Level.ROOM, "MemAvailable 900 MB > 300 MB"),
        (reading(200), Level.EVEN, "neither short nor plenty"),
        (reading(900, some=10), Level.EVEN, ""),
        (reading(900, some=34), Level.STRAINED, "PSI some 34 %"),
        (reading(900, some=50, full=40), Level.STRAINED, "PSI full 40 %"),
        (reading(112, some=34), Level.LOW, "MemAvailable 112 MB < 150 MB, PSI some 34 %"),
        (reading(250, some=34), Level.LOW, "MemAvailable 250 MB < 300 MB, PSI some 34 %"),
        (reading(250, full=12), Level.CRITICAL, "PSI full 12 %"),
        (reading(50), Level.CRITICAL, "MemAvailable 50 MB < 80 MB"),
        (reading(900, group=ControlGroup("/r", 900 * MB, 1000 * MB, Stall(0, 0))), Level.LOW,
         "control group /r of 1000 MB: left 100 MB < 150 MB"),
        (reading(900, group=ControlGroup("/r", 100 * MB, 1000 * MB, Stall(30, 0))), Level.LOW,
         "PSI of the control group some 30 %"),
        (reading(900, group=ControlGroup("/r", 100 * MB, 1000 * MB, Absent("no"))), Level.ROOM, "MemAvailable 900"),
    ],
)  # fmt: skip
def test_levels_and_their_words(figures: Reading, level: Level, says: str) -> None:
    verdict = judge(figures, Thresholds())
    assert verdict.level == level
    assert says in verdict.reason


def test_the_headroom_is_the_lesser_of_machine_and_group() -> None:
    group = ControlGroup("/r", 600 * MB, 1000 * MB, Absent("no"))
    assert judge(reading(900, group=group), Thresholds()).headroom == 400 * MB
    assert judge(reading(350, group=group), Thresholds()).headroom == 350 * MB


def test_psi_alone_is_known_as_such() -> None:
    assert judge(reading(250, some=34), Thresholds()).stalled_only
    assert not judge(reading(112, some=34), Thresholds()).stalled_only
