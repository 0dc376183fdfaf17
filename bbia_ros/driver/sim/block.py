"""The memory that driver, physics and camera share: targets one way, states and pictures the other.

The driver makes a memfd; the workers open it as `/proc/<driver>/fd/<n>`, so there is nothing to clean up after any of
them is killed, and a physics worker that starts again finds the last state in it. Each section has one writer and is
guarded by a sequence lock: odd while it is written; a reader that saw it odd or changed reads again. Nobody ever waits
for a lock.
"""

from __future__ import annotations

import mmap
import os
import time
from typing import Any

import numpy as np
import numpy.typing as npt

QPOS_MAX = 160
"""Longest configuration vector; the minimal scene's has 58."""
OBJECTS_MAX = 16
"""Most things on the table."""

COMMAND = np.dtype(
    [
        ("heartbeat_ns", "i8"),  # monotonic clock of the driver, 0 before its first
        ("joints", "f8", 7),  # [rad] targets in the order of JOINT_NAMES
        ("antennas", "f8", 2),  # [rad] targets, right and left, SDK's sign
        ("motors", "u1"),
        ("visitor_present", "u1"),
        ("visitor_since_ns", "i8"),  # monotonic clock at the start of the arc
        ("visitor_arc", "f8", 5),  # start, end, speed, distance, height
    ]
)
STATE = np.dtype(
    [
        ("stamp_ns", "i8"),  # monotonic clock when this configuration was current, 0 before the first
        ("steps", "i8"),
        ("slips", "i8"),  # times that the simulation fell behind real time and skipped ahead
        ("resets", "i8"),  # times that MuJoCo found the configuration unstable
        ("sim_time", "f8"),
        ("joints", "f8", 7),
        ("antennas", "f8", 2),
        ("head", "f8", (4, 4)),  # in head_neutral
        ("camera", "f8", (4, 4)),  # optical frame in world
        ("visitor_present", "u1"),
        ("visitor", "f8", 3),  # face's centre in world
        ("mocap_pos", "f8", 3),
        ("mocap_quat", "f8", 4),
        ("objects", "f8", (OBJECTS_MAX, 3)),  # centres in world
        ("object_names", "S32", OBJECTS_MAX),  # empty where there is none
        ("nq", "i8"),
        ("qpos", "f8", QPOS_MAX),
    ]
)
PICTURE = np.dtype(
    [
        ("number", "i8"),  # counts up by one per picture
        ("stamp_ns", "i8"),  # of the state that it shows
        ("rendered_ns", "i8"),  # monotonic clock when it was done
    ]
)

_ATTEMPTS = 15


class BlockError(OSError):
    """The shared block cannot be opened, or its writer died while writing."""


class Section:
    """A record with one writer and any number of readers, in shared memory."""

    def __init__(self, memory: npt.NDArray[np.uint8], dtype: np.dtype[Any], extra: int = 0) -> None:
        self._sequence = memory[:8].view(np.uint64)
        self._bytes = memory[8 : 8 + dtype.itemsize]
        self.extra = memory[8 + dtype.itemsize : 8 + dtype.itemsize + extra]
        self.dtype = dtype

    def write(self, record: npt.NDArray[Any], extra: npt.NDArray[np.uint8] | None = None) -> None:
        """Replaces the record (shape (1,)) and, where given, the bytes after it."""
        odd = int(self._sequence[0]) | 1  # a writer that died while writing left it odd already
        self._sequence[0] = odd
        self._bytes[:] = record.view(np.uint8)
        if extra is not None:
            self.extra[:] = extra
        self._sequence[0] = odd + 1

    def read(self, into_extra: npt.NDArray[np.uint8] | None = None) -> npt.NDArray[Any]:
        """Returns a copy of the record, shape (1,), and copies the bytes after it where asked to.

        Raises:
            BlockError: the writer does not finish within some 3 ms: it is suspended, or was killed in the act.
        """
        for attempt in range(_ATTEMPTS):
            before = int(self._sequence[0])
            if before & 1 == 0:
                copy = self._bytes.copy()
                if into_extra is not None:
                    into_extra[:] = self.extra
                if int(self._sequence[0]) == before:
                    return copy.view(self.dtype)
            if attempt > 3:
                time.sleep(0.0002)
        raise BlockError("the simulator's shared state is half written: its writer was ended")


class Block:
    """The whole shared memory. Owns the mapping, and in the driver the memfd.

    Attributes:
        command: Written by the driver.
        state: Written by the physics.
        picture: Written by the camera, with the pixels (height x width x 3) as extra.
    """

    def __init__(self, descriptor: int, width: int, height: int) -> None:
        self.descriptor = descriptor
        pixels = width * height * 3
        sizes = [8 + COMMAND.itemsize, 8 + STATE.itemsize, 8 + PICTURE.itemsize + pixels]
        starts = [0]
        for size in sizes:
            starts.append(starts[-1] + -(-size // 64) * 64)  # sections on cache lines of their own
        if os.fstat(descriptor).st_size == 0:
            os.ftruncate(descriptor, starts[-1])
        if os.fstat(descriptor).st_size < starts[-1]:
            os.close(descriptor)
            raise BlockError(f"the shared block is too small for pictures of {width}x{height}")
        self._map = mmap.mmap(descriptor, starts[-1])
        memory = np.frombuffer(self._map, np.uint8)
        self.command = Section(memory[starts[0] :], COMMAND)
        self.state = Section(memory[starts[1] :], STATE)
        self.picture = Section(memory[starts[2] :], PICTURE, pixels)
        self.width, self.height = width, height

    @classmethod
    def create(cls, width: int, height: int) -> Block:
        """Makes a block in the driver, all zero, for pictures of that size."""
        return cls(os.memfd_create("bbia-simulator", os.MFD_CLOEXEC), width, height)

    @classmethod
    def open(cls, path: str, width: int, height: int) -> Block:
        """Opens the driver's block in a worker.

        Raises:
            BlockError: the driver is gone.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise BlockError(f"the driver's shared block {path} cannot be opened: {error.strerror}") from error
        return cls(descriptor, width, height)

    @property
    def path(self) -> str:
        """Where other processes of the same user open it, as long as this process lives."""
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    def close(self) -> None:
        """Closes the memfd; the mapping goes with the last array that looks into it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
