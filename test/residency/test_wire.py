"""Messages between pool and worker."""

from __future__ import annotations

import gc
import os
import pickle
import socket
import struct
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bbia_ros.residency import wire
from bbia_ros.residency.errors import NotPicklable


@pytest.fixture
def ends():
    left, right = socket.socketpair()
    pair = wire.Connection(left), wire.Connection(right)
    yield pair
    for end in pair:
        end.close()


def fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def round_trip(ends, body):
    sender = threading.Thread(target=ends[0].send, args=(wire.CALL, 5, body))
    sender.start()
    message = ends[1].receive()
    sender.join()
    assert (message.kind, message.id) == (wire.CALL, 5)
    return message.body()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.binary(max_size=70_000),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(values, min_size=1, max_size=4))
def test_anything_arrives_as_it_was_in_order(bodies):
    left, right = (wire.Connection(sock) for sock in socket.socketpair())
    try:

        def send():
            for number, body in enumerate(bodies):
                left.send(wire.ITEM, number, body)

        sender = threading.Thread(target=send)
        sender.start()
        for number, body in enumerate(bodies):
            message = right.receive()
            assert message.id == number
            assert message.body() == body
        sender.join()
    finally:
        left.close()
        right.close()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 100, 30_000, 65_536, 65_537, 300_000]), max_size=5), st.booleans())
def test_arrays_of_any_size_arrive_whole_and_writable(sizes, fortran):
    arrays = [np.random.default_rng(size).integers(0, 255, size=(size, 1), dtype=np.uint8) for size in sizes]
    if fortran:
        arrays = [np.asfortranarray(array) for array in arrays]
    left, right = (wire.Connection(sock) for sock in socket.socketpair())
    try:
        got = round_trip((left, right), {"arrays": arrays})["arrays"]
    finally:
        left.close()
        right.close()
    for sent, array in zip(arrays, got, strict=True):
        np.testing.assert_array_equal(sent, array)
        array += 1


def test_a_received_array_owns_its_memory_and_no_descriptor(ends):
    before = fds()
    array = round_trip(ends, np.arange(1_000_000, dtype=np.float32))
    ends[0].close()
    ends[1].close()
    gc.collect()
    assert fds() == before - 2, "the two sockets"
    array[:] = 3.0
    assert array.sum() == 3_000_000.0


def test_a_closed_connection_keeps_no_memory_and_tells_that_it_is_closed(ends):
    round_trip(ends, np.zeros(50_000, np.uint8))
    for end in ends:
        end.close()
        kept = [each for each in gc.get_referents(end, vars(end)) if isinstance(each, bytearray)]
        assert sum(map(len, kept)) == 0
        with pytest.raises(OSError, match="descriptor"):
            end.receive()


def test_the_slab_is_used_again_and_grows(ends):
    first = round_trip(ends, np.full(100_000, 1, np.uint8))
    held = fds()
    second = round_trip(ends, np.full(90_000, 2, np.uint8))
    third = round_trip(ends, np.full(3_000_000, 3, np.uint8))
    fourth = round_trip(ends, [np.full(200_000, 4, np.uint8), np.full(200_000, 5, np.uint8)])
    assert fds() == held, "one mapping at each end, whatever its size"
    assert [set(array.tolist()) for array in (first, second, third, *fourth)] == [{1}, {2}, {3}, {4}, {5}]
    large = round_trip(ends, np.full(wire.SLAB_BYTES + 1, 6, np.uint8))
    assert large.sum() == 6 * (wire.SLAB_BYTES + 1)
    assert fds() == held


def test_items_of_a_stream_may_wait_unread(ends):
    for number in range(5):
        ends[0].send(wire.ITEM, 1, np.full(100_000, number, np.uint8))
    assert [int(ends[1].receive().body()[99_999]) for _ in range(5)] == list(range(5))


def test_a_read_only_array_stays_read_only(ends):
    array = np.frombuffer(bytes(1000), dtype=np.uint8)
    assert not round_trip(ends, array).flags.writeable


def test_non_contiguous_arrays(ends):
    array = np.arange(600_000).reshape(600, 1000)[::2, ::3]
    np.testing.assert_array_equal(round_trip(ends, array), array)


def test_very_many_arrays(ends):
    arrays = [np.full(3, number) for number in range(6000)]
    got = round_trip(ends, arrays)
    assert len(got) == 6000
    assert got[5999][2] == 5999


def test_what_cannot_be_pickled_is_refused_before_anything_is_sent(ends):
    with pytest.raises(NotPicklable):
        ends[0].send(wire.CALL, 1, lambda: None)
    assert round_trip(ends, 1) == 1


def test_too_large_is_refused_by_the_sender(ends, monkeypatch):
    monkeypatch.setattr(wire, "MAX_BYTES", 1_000_000)
    with pytest.raises(NotPicklable, match="limit of 1 MB"):
        ends[0].send(wire.CALL, 1, np.zeros(2_000_000, np.uint8))
    assert round_trip(ends, 1) == 1


def test_too_large_is_refused_by_the_receiver(ends, monkeypatch):
    ends[0].send(wire.CALL, 1, np.zeros(2_000_000, np.uint8))
    monkeypatch.setattr(wire, "MAX_BYTES", 1_000_000)
    with pytest.raises(wire.WireError, match="over the limit"):
        ends[1].receive()


def test_end_of_stream(ends):
    ends[0].close()
    assert ends[1].receive() is None


def test_end_of_stream_within_a_message():
    left, right = socket.socketpair()
    connection = wire.Connection(right)
    head = struct.pack("<HBBIIQ", 0xB1A5, wire.CALL, 0, 1, 1, 500)
    left.send(head + b"short")
    left.close()
    assert connection.receive() is None
    connection.close()


@pytest.mark.parametrize(
    "junk",
    [
        b"GET / HTTP/1.1\r\n\r\n" + bytes(20),
        struct.pack("<HBBIIQ", 0xB1A5, wire.CALL, 0, 1, 1, 1 << 40),
        struct.pack("<HBBII", 0xB1A5, wire.CALL, 0, 1, 0) + bytes(20),
        struct.pack("<HBBII", 0xB1A5, wire.CALL, 0, 1, 2**32 - 1) + bytes(20),
        struct.pack("<HBBIIQ", 0xB1A5, wire.CALL, 1, 1, 1, 100_000 | 1 << 63) + bytes(20),
        struct.pack("<HBBIIQ", 0xB1A5, wire.CALL, 3, 1, 1, 100_000 | 1 << 63) + bytes(20),
        struct.pack("<HBBIIQ", 0xB1A5, wire.CALL, 9, 1, 1, 100_000 | 1 << 63) + bytes(20),
    ],
)
def test_junk_is_told_apart(junk):
    left, right = socket.socketpair()
    connection = wire.Connection(right)
    left.send(junk)
    with pytest.raises(wire.WireError):
        connection.receive()
    connection.close()
    left.close()


@pytest.mark.parametrize("flags", [1, 2])
def test_a_short_memfd_is_told_apart(flags):
    left, right = socket.socketpair()
    connection = wire.Connection(right)
    before = fds()
    memfd = os.memfd_create("short")
    os.ftruncate(memfd, 10)
    head = struct.pack("<HBBIIQ", 0xB1A5, wire.CALL, flags, 1, 1, 100_000 | 1 << 63)
    socket.send_fds(left, [head], [memfd])
    os.close(memfd)
    with pytest.raises(wire.WireError, match="shorter"):
        connection.receive()
    connection.close()
    left.close()
    assert fds() == before - 2


def test_a_body_that_cannot_be_rebuilt_does_not_harm_the_connection(ends):
    ends[0].send_packed(wire.RESULT, 1, [pickle.dumps(1)[:-1] + b"\xff"])
    ends[0].send(wire.RESULT, 2, "fine")
    message = ends[1].receive()
    with pytest.raises(pickle.UnpicklingError):
        message.body()
    assert ends[1].receive().body() == "fine"
