"""Real worker processes: how they live, die and end."""

from __future__ import annotations

import gc
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from toy_specs import toy

from bbia_ros.residency import (
    CallCancelled,
    CallTimeout,
    EngineError,
    LoadFailed,
    ModelState,
    Pool,
    ResidencyError,
    WorkerDied,
)
from bbia_ros.residency.spawner import SPAWNER

pytestmark = pytest.mark.heavy


def ends_within(pid: int, seconds: float) -> bool:
    """Whether a process that is not our child ends in this time."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([pidfd], [], [], seconds)[0])
    finally:
        os.close(pidfd)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def in_background(function, *args, **kwargs):
    """Run in a thread; returns a function that waits for the outcome (result or ResidencyError)."""
    outcome = []

    def run():
        try:
            outcome.append(function(*args, **kwargs))
        except ResidencyError as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def join():
        thread.join(20)
        assert outcome, "still running"
        return outcome[0]

    return join


def wait_until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


# --- what a worker is -------------------------------------------------------------------------------------


def test_a_worker_is_small_polite_and_knows_nothing_of_the_pool(make_pool):
    lease = make_pool().acquire(toy(nice=15))
    facts = lease.call("facts")
    assert facts["nice"] == 15
    assert facts["sigint"] == str(signal.SIG_IGN)
    assert (facts["arena"], facts["omp"]) == ("1", "PASSIVE")
    assert facts["telemetry_off"] == "1", "onnxruntime sends nothing"
    assert facts["sid"] != os.getsid(0), "Ctrl-C in the terminal does not reach it"
    assert not {"rclpy", "bbia_ros.residency.pool", "asyncio"} & set(facts["modules"])
    assert facts["fds"] <= 6, "stdin, stdout, stderr, two sockets, the listing itself"


def test_importing_the_pool_loads_nothing_heavy():
    code = "import sys, bbia_ros.residency.pool, bbia_ros.residency.process; print(*sys.modules)"
    modules = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not {"numpy", "rclpy", "ctypes", "psutil", "asyncio", "multiprocessing"} & modules


def test_what_engines_print_does_not_reach_our_stdout(tmp_path):
    script = textwrap.dedent(
        """
        from toy_specs import toy
        from bbia_ros.residency import Pool
        with Pool() as pool:
            pool.acquire(toy(engine="Printer")).call("speak")
        print("done")
        """
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert run.stdout == "done\n"
    assert "from python" in run.stderr
    assert "from native" in run.stderr


def test_engine_failures_at_load(make_pool):
    pool = make_pool()
    for spec, words in [
        (toy("a", fail="model.onnx is missing"), "a could not be loaded: model.onnx is missing"),
        (toy("b", engine="Nothing"), "no engine Nothing"),
        (toy("c", fail="die"), "SIGKILL"),
        (toy("d", nonsense=1), "unexpected keyword argument 'nonsense'"),
        (toy("e", load_s=30.0, load_timeout_s=0.3), "could not be loaded within 0.3 s"),
        (toy("f", marker=lambda: None), "cannot be pickled"),
    ]:
        with pytest.raises(LoadFailed, match=words):
            pool.acquire(spec).call("echo")
    assert [info.pid for info in pool.snapshot()] == [0] * 6


# --- calls ------------------------------------------------------------------------------------------------


def test_calls_of_many_threads_run_one_at_a_time_in_order(make_pool):
    lease = make_pool().acquire(toy())
    lease.call("sleep", 0)
    gate = in_background(lease.call, "sleep", 0.3)
    joins = []
    for number in range(8):
        wait_until(lambda number=number: len(lease.calls) == number + 1)
        joins.append(in_background(lease.call, "add", number))
    wait_until(lambda: len(lease.calls) == 9)
    gate()
    assert [join() for join in joins] == [list(range(number + 1)) for number in range(8)]


def test_waiting_for_a_turn_counts_and_harms_nobody(make_pool):
    lease = make_pool().acquire(toy())
    pid = lease.call("pid")
    first = in_background(lease.call, "sleep", 0.5)
    wait_until(lambda: lease.calls)
    with pytest.raises(CallTimeout, match="did not get its turn"):
        lease.call("echo", timeout_s=0.05)
    assert first() == "slept"
    assert lease.call("pid") == pid


def test_cancel_of_a_call_that_cannot_stop_kills_without_blame(make_pool, tmp_path):
    pool = make_pool(backoff_s=(60.0,))
    lease = pool.acquire(toy())
    pid = lease.call("pid")
    call = in_background(lease.call, "sleep", 30, str(tmp_path / "started"))
    wait_until((tmp_path / "started").exists)
    lease.cancel()
    assert isinstance(call(), CallCancelled)
    assert ends_within(pid, 0)
    assert lease.preload().exception(30) is None, "no backoff"
    assert pool.snapshot()[0].last_error == ""


def test_an_engine_with_cancel_keeps_its_worker(make_pool, tmp_path):
    lease = make_pool().acquire(toy(engine="Interruptible"))
    pid = lease.call("pid")
    call = in_background(lease.call, "work", str(tmp_path / "started"))
    wait_until((tmp_path / "started").exists)
    lease.cancel()
    assert isinstance(call(), CallCancelled)
    assert lease.call("pid") == pid


def test_cancel_reaches_calls_that_wait_for_a_load(make_pool):
    pool = make_pool()
    lease = pool.acquire(toy(load_s=20.0))
    other = pool.acquire(toy("other"))
    call = in_background(lease.call, "echo")
    wait_until(lambda: pool.snapshot()[0].state is ModelState.LOADING)
    lease.cancel()
    assert isinstance(call(), CallCancelled)
    assert other.call("echo", 1) == 1


def test_results_that_cannot_be_rebuilt_here(make_pool, monkeypatch):
    lease = make_pool().acquire(toy())
    lease.call("echo")
    monkeypatch.delitem(sys.modules, "toy_engines", raising=False)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if "test/residency" not in entry])
    with pytest.raises(EngineError, match=r"result of toy\.alien cannot be rebuilt here"):
        lease.call("alien")
    assert lease.call("echo", 1) == 1


def test_an_engine_that_exits_is_only_wrong(make_pool):
    lease = make_pool().acquire(toy())
    pid = lease.call("pid")
    with pytest.raises(EngineError) as caught:
        lease.call("exit_")
    assert caught.value.kind == "SystemExit"
    assert lease.call("pid") == pid


def test_a_slow_reader_does_not_lose_items_and_a_stale_one_is_ended(make_pool):
    lease = make_pool().acquire(toy())
    stream = lease.stream("frames", 30)
    first = next(stream)
    threading.Event().wait(0.1)
    assert [int(item[0, 0, 0]) for item in (first, *stream)] == list(range(30))
    stale = lease.stream("numbers", 10**9, timeout_s=0.1)
    next(stale)
    assert lease.call("said", timeout_s=20)[-1] == "closed"
    with pytest.raises(CallTimeout, match="nobody read it"):
        next(stale)


def test_a_stubborn_stream_is_killed(make_pool, tmp_path):
    lease = make_pool().acquire(toy())
    pid = lease.call("pid")
    stream = lease.stream("stubborn", str(tmp_path / "stubborn"))
    next(stream)
    wait_until((tmp_path / "stubborn").exists)
    stream.cancel()
    assert ends_within(pid, 5)
    with pytest.raises(CallCancelled):
        next(stream)
    assert lease.call("pid") != pid


def test_who_waited_behind_a_stubborn_call_goes_to_the_next_worker(make_pool, tmp_path):
    lease = make_pool(backoff_s=(60.0,)).acquire(toy())
    pid = lease.call("pid")
    stream = lease.stream("stubborn", str(tmp_path / "stubborn"))
    next(stream)
    wait_until((tmp_path / "stubborn").exists)
    waiting = in_background(lease.call, "pid"), in_background(lambda: list(lease.stream("numbers", 3)))
    wait_until(lambda: len(lease.calls) == 3)
    stream.cancel()
    assert waiting[0]() not in (pid, None)
    assert waiting[1]() == [0, 1, 2]


# --- death ------------------------------------------------------------------------------------------------


def test_every_waiter_hears_of_a_death(make_pool):
    pool = make_pool()
    lease = pool.acquire(toy())
    pid = lease.call("pid")
    calls = [in_background(lease.call, "sleep", 30, timeout_s=60) for _ in range(4)]
    wait_until(lambda: len(lease.calls) == 4)
    os.kill(pid, signal.SIGKILL)
    for call in calls:
        error = call()
        assert isinstance(error, WorkerDied)
        assert "SIGKILL" in str(error)
    assert lease.call("echo", 1) == 1


def test_a_death_between_two_items_and_while_idle(make_pool):
    pool = make_pool()
    lease = pool.acquire(toy())
    stream = lease.stream("numbers", 10**9)
    next(stream)
    os.kill(pool.snapshot()[0].pid, signal.SIGKILL)
    with pytest.raises(WorkerDied):
        for _ in stream:
            pass
    pid = lease.call("pid")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pool.snapshot()[0].state is ModelState.ABSENT)
    assert "SIGKILL" in pool.snapshot()[0].last_error
    assert lease.call("echo", 1) == 1


def test_a_stopped_worker_is_timed_out_and_released(make_pool):
    pool = make_pool()
    lease = pool.acquire(toy())
    with pytest.raises(CallTimeout):
        lease.call("stop", timeout_s=0.1)
    pid = lease.call("pid")
    os.kill(pid, signal.SIGSTOP)
    assert lease.release() is not None
    assert ends_within(pid, 0)


PARENT = """
import os, sys, threading
from toy_specs import toy
from bbia_ros.residency import Pool
from bbia_ros.residency.spawner import SPAWNER
pool = Pool()
leases = [pool.acquire(toy(name)) for name in ("idle", "busy")]
print(*(lease.call("pid") for lease in leases), flush=True)
threading.Thread(target=leases[1].call, args=("sleep", 60), kwargs={"timeout_s": 60}, daemon=True).start()
"""


@pytest.mark.parametrize(
    "end",
    [
        "os.kill(os.getpid(), 9)",
        "sys.exit()",
        "os._exit(0)",
        "SPAWNER.stop(); sys.stdin.read()",
        "os.execv('/bin/cat', ['cat'])",
    ],
)
def test_no_orphan_however_the_parent_ends(end):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT + "sys.stdin.readline()\n" + end],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.stdin.write("\n")
        parent.stdin.flush()
        assert all(ends_within(pid, 5) for pid in pids)
    finally:
        parent.kill()
        parent.communicate()


def test_ctrl_c_leaves_the_workers_to_their_parent():
    script = PARENT + textwrap.dedent(
        """
        import signal
        try:
            print("ready", flush=True)
            while True:
                signal.pause()
        except KeyboardInterrupt:
            print(leases[0].call("echo", "alive"), flush=True)
        pool.close()
        print("closed", flush=True)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert parent.stdout.readline() == "ready\n"
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.stdout.readline() == "alive\n"
        assert parent.stdout.readline() == "closed\n"
        assert parent.wait(10) == 0
        assert all(ends_within(pid, 0) for pid in pids)
    finally:
        parent.kill()
        parent.communicate()


# --- the end ----------------------------------------------------------------------------------------------


def test_an_engine_is_closed_when_there_is_time(make_pool, tmp_path):
    marker = tmp_path / "closed"
    lease = make_pool().acquire(toy(engine="Closer", path=str(marker)))
    lease.call("touch")
    lease.release()
    assert marker.read_text() == "closed"


def test_a_hanging_close_is_killed(make_pool):
    lease = make_pool().acquire(toy(engine="Hanger"))
    pid = lease.call("pid")
    record = lease.release()
    assert ends_within(pid, 0)
    assert record.returned_bytes == record.held_bytes > 0


def test_release_while_everything_is_going_on(make_pool, tmp_path):
    pool = make_pool()
    leases = [pool.acquire(toy(name, load_s=30.0 if name == "loading" else 0.0)) for name in ("a", "b", "c", "loading")]
    pids = [lease.call("pid") for lease in leases[:3]]
    stream = leases[1].stream("stubborn", str(tmp_path / "stubborn"))
    next(stream)
    started = tmp_path / "started"
    calls = [in_background(leases[0].call, "sleep", 30, str(started)), in_background(leases[3].call, "echo")]
    wait_until(lambda: pool.snapshot()[3].state is ModelState.LOADING and started.exists())
    records = pool.release(leases)
    assert [record is not None for record in records] == [True, True, True, False]
    assert all(ends_within(pid, 0) for pid in pids)
    assert all(isinstance(call(), CallCancelled) for call in calls)
    with pytest.raises(CallCancelled):
        next(stream)


def test_a_shared_worker_gives_back_what_one_of_its_models_held(make_pool):
    pool = make_pool()
    one, two = (pool.acquire(toy(name, mb=60, worker="torch")) for name in ("one", "two"))
    assert one.call("pid") == two.call("pid")
    record = one.release()
    assert record.returned_bytes > 50_000_000
    assert two.call("echo", 1) == 1
    assert two.release().returned_bytes > 50_000_000


def test_nothing_is_left_behind_after_many_rounds(make_pool):
    """Descriptors, threads and children are where they were, whichever way the models went."""
    SPAWNER.spawn().process.kill()  # the permanent spawner thread is there
    gc.collect()
    before = descriptors(), threading.active_count()
    frame = np.zeros((480, 640, 3), np.uint8)
    with Pool(backoff_s=(0.0,) * 9) as pool:
        lease = pool.acquire(toy())
        for round_ in range(12):
            lease.call("total", frame)
            assert len(list(lease.stream("frames", 2))) == 2
            if round_ % 4 == 0:
                pool.unload("toy")
            elif round_ % 4 == 1:
                with pytest.raises(WorkerDied):
                    lease.call("die")
            elif round_ % 4 == 2:
                stream = lease.stream("numbers", 10**9)
                next(stream)
                lease.release()
                lease = pool.acquire(toy())
            else:
                with pytest.raises(CallTimeout):
                    lease.call("sleep", 30, timeout_s=0.01)
    gc.collect()
    wait_until(lambda: (descriptors(), threading.active_count()) <= before)
    assert not [name for name in os.listdir("/dev/shm") if "bbia" in name]


def test_a_busy_pool_under_threads(make_pool):
    """Many holders, little room, random deaths: every call ends with an answer or a typed error."""
    pool = make_pool(budget_mb=220, backoff_s=(0.0,) * 50)
    stop = time.monotonic() + 4
    answers = []

    def work(number: int) -> None:
        random = np.random.default_rng(number)
        while time.monotonic() < stop:
            with pool.acquire(toy(f"m{random.integers(5)}", declared_mb=50)) as lease:
                for _ in range(random.integers(1, 6)):
                    try:
                        action = random.integers(12)
                        if action == 0:
                            lease.call("die")
                        elif action == 1:
                            with lease.stream("numbers", 10**9) as stream:
                                next(stream)
                        elif action == 2:
                            assert sum(lease.stream("numbers", 20)) == 190
                        else:
                            assert lease.call("echo", number) == number
                        answers.append(None)
                    except ResidencyError as error:
                        answers.append(type(error).__name__)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert answers.count(None) > 20
    assert all(info.holders == 0 and info.state is ModelState.ABSENT for info in pool.snapshot())
    assert not [info for info in pool.snapshot() if info.budget_bytes]
