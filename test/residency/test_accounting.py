"""Memory of processes."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import threading

import pytest

from bbia_ros.residency import ProcessGone, accounting
from bbia_ros.residency.accounting import Memory, MemorySampler


@pytest.fixture
def child():
    code = "import sys; data = bytearray(b'x') * 30_000_000; print('ready', flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    yield process
    process.kill()
    process.communicate()


def test_private_memory_of_another_process(child):
    figures = accounting.memory(child.pid)
    assert 30_000_000 < figures.uss <= figures.pss <= figures.rss < 100_000_000
    assert accounting.peak_bytes(child.pid) >= 30_000_000
    assert accounting.pss_bytes(child.pid) > 30_000_000
    assert accounting.uss_bytes(child.pid) > 30_000_000


def test_our_own_private_memory_grows_and_shrinks():
    before = accounting.uss_bytes("self")
    block = mmap.mmap(-1, 50_000_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    block[:] = b"x" * 50_000_000
    assert accounting.uss_bytes("self") - before > 45_000_000
    block.close()
    assert accounting.uss_bytes("self") - before < 20_000_000


def test_the_dead_are_told(child):
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
    for read in (accounting.memory, accounting.peak_bytes, accounting.start_time, accounting.pss_bytes):
        with pytest.raises(ProcessGone):
            read(child.pid)
    child.wait()
    for read in (accounting.memory, accounting.peak_bytes, accounting.start_time, accounting.uss_bytes):
        with pytest.raises(ProcessGone, match=str(child.pid)):
            read(child.pid)


def test_start_time_tells_processes_apart(child):
    assert accounting.start_time(child.pid) > accounting.start_time(1)
    assert accounting.start_time(child.pid) == accounting.start_time(child.pid)


def test_available_memory():
    assert 10_000_000 < accounting.mem_available() < 1 << 50


class Reader:
    """Counts, in place of /proc."""

    def __init__(self):
        self.calls = 0
        self.called = threading.Event()
        self.gone = False
        self.threads = set()

    def __call__(self, pid):
        self.calls += 1
        self.threads.add(threading.current_thread())
        self.called.set()
        if self.gone:
            raise ProcessGone("gone")
        return Memory(3, 2, 1)


def await_sample(sampler, pid, wanted):
    for _ in range(2000):
        if sampler.get(pid) == wanted:
            return
        threading.Event().wait(0.005)
    pytest.fail(f"no sample {wanted}")


def test_the_sampler_reads_in_its_own_thread_and_not_too_often():
    reader = Reader()
    sampler = MemorySampler(period_s=60, read=reader)
    assert sampler.get(5) is None, "the first answer is not waited for"
    await_sample(sampler, 5, Memory(3, 2, 1))
    for _ in range(1000):
        sampler.get(5)
    assert reader.calls == 1
    assert threading.current_thread() not in reader.threads
    sampler.close()
    assert not any(thread.is_alive() for thread in reader.threads)
    assert sampler.get(5) == Memory(3, 2, 1)


def test_the_sampler_rests_when_nobody_asks_and_forgets_the_dead():
    reader = Reader()
    sampler = MemorySampler(period_s=0.01, linger_s=0.05, read=reader)
    await_sample(sampler, 5, Memory(3, 2, 1))
    (thread,) = reader.threads
    thread.join(10)
    assert not thread.is_alive(), "nobody asked"
    await_sample(sampler, 5, Memory(3, 2, 1))
    reader.gone = True
    await_sample(sampler, 5, None)
    sampler.close()
    sampler.close()
