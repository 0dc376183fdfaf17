"""The memory that driver and workers share."""

import os
import threading

import numpy as np
import pytest

from bbia_ros.driver.sim.block import COMMAND, Block, BlockError


@pytest.fixture
def block():
    block = Block.create(8, 4)
    yield block
    block.close()


def test_what_one_side_writes_the_other_reads(block):
    other = Block.open(block.path, 8, 4)
    command = np.zeros(1, COMMAND)
    command["joints"] = np.arange(7)
    block.command.write(command)
    assert other.command.read()["joints"][0].tolist() == list(range(7))
    pixels = np.arange(8 * 4 * 3, dtype=np.uint8)
    other.picture.write(np.zeros(1, other.picture.dtype), pixels)
    seen = np.zeros_like(pixels)
    block.picture.read(seen)
    assert np.array_equal(seen, pixels)
    other.close()


def test_a_reader_never_sees_half_a_record(block):
    stop = threading.Event()

    def write():
        record = np.zeros(1, COMMAND)
        value = 0
        while not stop.is_set():
            value += 1
            record["joints"], record["heartbeat_ns"] = value, value
            block.command.write(record)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3000):
            record = block.command.read()[0]
            assert (record["joints"] == record["heartbeat_ns"]).all()
    finally:
        stop.set()
        writer.join()


def test_a_writer_that_died_while_writing_is_noticed_and_the_next_one_recovers(block):
    block.state._sequence[0] += 1
    with pytest.raises(BlockError, match="half written"):
        block.state.read()
    block.state.write(np.zeros(1, block.state.dtype))
    assert block.state.read()["steps"][0] == 0


def test_a_driver_that_is_gone_is_named():
    gone = Block.create(8, 4)
    path = gone.path
    gone.close()
    with pytest.raises(BlockError, match="cannot be opened"):
        Block.open(path, 8, 4)


def test_a_block_for_smaller_pictures_is_refused_and_nothing_leaks(block):
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(BlockError, match="too small"):
        Block.open(block.path, 640, 480)
    assert len(os.listdir("/proc/self/fd")) == before
