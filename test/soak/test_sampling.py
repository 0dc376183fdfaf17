from __future__ import annotations

import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bbia_ros.soak.processes import PROCESS, WORKER, Member, entry
from bbia_ros.soak.sampling import MAPS_EVERY, Sample, Sampler


def me(kind: str = PROCESS) -> Member:
    found = entry(os.getpid())
    assert found is not None
    return Member(found.pid, found.start, found.parent, kind, "brain", found.threads)


def test_our_own_process_is_counted_as_the_kernel_does() -> None:
    sampler = Sampler()
    before = sampler.take([me()], {})
    held = b"x" * 50_000_000
    descriptors = [os.open(os.devnull, os.O_RDONLY) for _ in range(7)]
    after = sampler.take([me()], {})
    for descriptor in descriptors:
        os.close(descriptor)
    assert after.fds - before.fds == 7
    for grown in (after.pss - before.pss, after.uss - before.uss, after.anon - before.anon):
        assert grown == pytest.approx(len(held), abs=2_000_000)
    assert after.threads == me().threads
    assert (after.processes[0].name, after.workers) == ("brain", 0)


def test_shared_memory_of_ours_counts_once_however_many_hold_it() -> None:
    sampler = Sampler()
    before = sampler.take([me()], {})
    ours = os.memfd_create("bbia-test")
    os.ftruncate(ours, 1 << 20)
    os.pwrite(ours, b"x" * 8192, 0)
    others = os.memfd_create("somebody-else")
    held = mmap.mmap(ours, 1 << 20)  # keeps a descriptor of its own
    os.close(ours)
    command = [sys.executable, "-c", "print(1, flush=True); input()"]
    copy = os.memfd_create("bbia-inherited", 0)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[copy]) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = entry(process.pid)
        assert found is not None
        child = Member(found.pid, found.start, found.parent, WORKER, "brain", found.threads)
        after = sampler.take([me(), child], {process.pid: "faces"})
        process.kill()
    held.close()
    os.close(others)
    os.close(copy)
    assert after.memfds - before.memfds == 2
    assert after.memfd_bytes - before.memfd_bytes == 8192
    assert [row.name for row in after.processes] == ["brain", "faces"]
    assert after.workers == 1


def test_files_in_shm_are_ours_while_they_are_there(tmp_path: Path) -> None:
    (tmp_path / "not-ours").write_bytes(b"y" * 4096)
    path = tmp_path / "fastrtps_0123"
    path.write_bytes(b"x" * 4096)
    sampler = Sampler(shm=tmp_path)
    with path.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0)
    assert sampler.take([me()], {}).shm == 1
    mapped.close()
    assert sampler.take([me()], {}, whole=True).shm == 1  # left behind by who used it
    assert sampler.left_behind() == ["fastrtps_0123"]
    path.unlink()
    assert sampler.take([me()], {}).shm == 0
    assert sampler.left_behind() == []


def test_long_lists_of_mappings_are_read_now_and_then(tmp_path: Path) -> None:
    path = tmp_path / "late"
    path.write_bytes(b"x" * 4096)
    sampler = Sampler(shm=tmp_path)
    sampler.take([me()], {})
    with path.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0)
    seen = [sampler.take([me()], {}).shm for _ in range(MAPS_EVERY)]
    mapped.close()
    assert seen == [0] * (MAPS_EVERY - 1) + [1]


def test_a_process_that_ends_meanwhile_is_left_out() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)
    sample = Sampler().take([me(), Member(gone.pid, 1, 1, WORKER, "brain")], {})
    gone.wait()
    assert [row.pid for row in sample.processes] == [os.getpid()]


def test_a_sample_survives_json() -> None:
    sample = Sampler().take([me()], {})
    assert Sample.from_plain(sample.plain()) == sample
