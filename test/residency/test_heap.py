"""What workers and node processes do to stay small."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import textwrap
import time

import pytest
from toy_specs import toy

from bbia_ros.residency import Pool, wire
from bbia_ros.residency.accounting import uss_bytes
from bbia_ros.residency.placeholders import placeholders

MB = 1_000_000


def test_a_connection_is_quiet_until_something_comes() -> None:
    ours, theirs = socket.socketpair()
    connection = wire.Connection(ours)
    assert connection.is_quiet(0.0)
    wire.Connection(theirs).send_packed(wire.RESULT, 7, wire.pack("hello"))
    assert not connection.is_quiet(10.0)
    message = connection.receive()
    assert message is not None
    assert connection.is_quiet(0.0)
    theirs.close()
    assert not connection.is_quiet(10.0)
    connection.close()


@pytest.mark.heavy
def test_an_idle_worker_gives_back_what_a_call_left_free() -> None:
    pool = Pool()
    try:
        lease = pool.acquire(toy("swiss", "Swiss", declared_mb=150.0))
        lease.preload().result(30)
        (info,) = [info for info in pool.snapshot() if info.pid]
        before = uss_bytes(info.pid)
        lease.call("hoard", 100)
        lease.call("hoard", 100)  # the first answer may have been trimmed after, being long after the load
        deadline = time.monotonic() + 15
        while uss_bytes(info.pid) > before + 30 * MB:
            assert time.monotonic() < deadline, f"{(uss_bytes(info.pid) - before) / MB:.0f} MB are kept"
            time.sleep(0.1)
    finally:
        pool.close()


def fresh(code: str) -> object:
    """What a fresh interpreter prints last, as JSON."""
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(answer.stdout.splitlines()[-1])


def test_placeholders_stand_in_only_while_they_last() -> None:
    with placeholders("nobody_has_this", "nobody_has_this.inner", "json"):
        import nobody_has_this.inner
        from nobody_has_this import anything

        class Derived(anything):
            pass

        assert nobody_has_this.inner is sys.modules["nobody_has_this.inner"]
        assert json.loads("[1]") == [1]  # what is loaded already stays
    assert "nobody_has_this" not in sys.modules
    assert sys.modules["json"] is json
    with pytest.raises(ImportError):
        import nobody_has_this


@pytest.mark.heavy
def test_whisper_is_imported_without_what_it_only_mentions() -> None:
    assert fresh("""
        import json, sys
        from bbia_ros.speech.stt_whisper import _import_model_class
        name = _import_model_class().__name__
        print(json.dumps([name, sorted({"av", "tqdm", "huggingface_hub", "asyncio"} & set(sys.modules))]))
    """) == ["WhisperModel", []]
