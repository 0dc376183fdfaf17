"""Messages between a pool and its workers over a Unix stream socket.

A message is a kind, a request id and a pickled object (protocol 5). Its buffers (numpy arrays, bytearrays)
travel beside the pickle: together up to 64 KB in the stream itself, what is more in one memfd that is passed
with SCM_RIGHTS. A memfd has no name, so a killed process leaves nothing to clean up. The receiver copies out
of the memfd: what it hands out owns its memory, is writable if the sender's was, and holds no file descriptor.

Fresh pages for a camera image cost more than copying it (0.39 against 0.03 ms), so each direction keeps one
memfd of up to 8 MB mapped, its *slab*, and uses it again: a request is answered, and so was copied, before
the next one is sent. Items of a stream overtake their reader; they and what is larger get a memfd of their own.

The frame::

    magic u16 | kind u8 | flags u8 | id u32 | segments u32 | size u64 per segment | small segments

Segment 0 is the pickle. The top bit of a size says that the segment is in the memfd, one after the other.
Flags: no memfd, one for this message alone, a new slab (these two come with a descriptor), the slab as before.
"""

from __future__ import annotations

import array
import mmap
import os
import pickle
import select
import socket
import struct
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from bbia_ros.residency.errors import NoSharedMemory, NotPicklable, ResidencyError

# Requests
LOAD, CALL, STREAM, UNLOAD = 1, 2, 3, 4
# Replies
RESULT, ITEM, DONE, ERROR = 17, 18, 19, 20

CANCEL = struct.Struct("<I")
"""On the control socket: the id of the request to cancel."""

INLINE_BYTES = 64 * 1024
"""Up to here the segments of a message travel in the stream: it fits the socket's buffer, a send never waits."""
MAX_BYTES = 1 << 30
"""Largest message [bytes]; larger ones are refused by the sender and end the connection at the receiver."""
SLAB_BYTES = 8 << 20
"""Up to here what does not travel in the stream goes through a memfd that is used again."""
_NO_MEMFD, _OWN_MEMFD, _NEW_SLAB, _SLAB = 0, 1, 2, 3
_MAX_SEGMENTS = 4096
_MAGIC = 0xB1A5
_HEADER = struct.Struct("<HBBII")
_IN_MEMFD = 1 << 63
_ALIGN = 64
_ANCILLARY = socket.CMSG_SPACE(16 * array.array("i").itemsize)


class WireError(ResidencyError):
    """What arrives is not a message of this protocol; the connection cannot be used any further."""


class Message(NamedTuple):
    """One message as received; `body` unpickles it."""

    kind: int
    id: int
    segments: Sequence[Any]

    def body(self) -> Any:
        """Rebuild the object. Raises whatever its classes raise, ImportError included; the connection stays usable."""
        return pickle.loads(self.segments[0], buffers=self.segments[1:])


class Connection:
    """One end of the socketpair. Owns the socket. One thread sends and one receives at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray(2 * INLINE_BYTES)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        self._fds: deque[int] = deque()
        self._slab_out: mmap.mmap | None = None
        self._slab_in: mmap.mmap | None = None

    def fileno(self) -> int:
        """Descriptor of the socket, for poll."""
        return self._sock.fileno()

    @property
    def buffered(self) -> bool:
        """Whether bytes of the next message were received already: poll does not tell of them."""
        return self._end > self._start

    def send(self, kind: int, id_: int, body: Any) -> None:
        """Pickle and send one message.

        Raises:
            NotPicklable: The object cannot be pickled or is too large; nothing was sent.
            NoSharedMemory: There is no memory for its arrays; nothing was sent.
            OSError: The other end is gone.
        """
        self.send_packed(kind, id_, pack(body))

    def send_packed(self, kind: int, id_: int, segments: Sequence[Any]) -> None:
        """Send what `pack` made."""
        sizes = []
        stream: list[Any] = []
        large: list[tuple[int, Any]] = []
        inline = offset = 0
        for segment in segments:
            size = len(segment)
            if inline + size <= INLINE_BYTES:
                inline += size
                stream.append(segment)
                sizes.append(size)
            else:
                large.append((offset, segment))
                offset += -(-size // _ALIGN) * _ALIGN
                sizes.append(size | _IN_MEMFD)
        memfd, flags = -1, _NO_MEMFD
        try:
            if large and (kind == ITEM or offset > SLAB_BYTES):
                memfd, flags = _allocate("bbia-message", offset), _OWN_MEMFD
                for position, segment in large:
                    _write_all(memfd, segment, position)
            elif large:
                flags = _SLAB
                if self._slab_out is None or len(self._slab_out) < offset:
                    memfd, flags = _allocate("bbia-slab", offset), _NEW_SLAB
                    self.forget_slab()
                    self._slab_out = _map(memfd, offset)
                for position, segment in large:
                    self._slab_out[position : position + len(segment)] = segment
            table = struct.pack(f"<{len(sizes)}Q", *sizes)
            self._send_all([_HEADER.pack(_MAGIC, kind, flags, id_, len(sizes)) + table, *stream], memfd)
        finally:
            if memfd >= 0:
                os.close(memfd)

    def forget_slab(self) -> None:
        """Use another slab next time: the other end may not have read what is in this one."""
        if self._slab_out is not None:
            self._slab_out.close()
            self._slab_out = None

    def is_quiet(self, timeout_s: float) -> bool:
        """Whether nothing arrives for so long; the end of the stream counts as an arrival."""
        if self._start != self._end:
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(1000.0 * timeout_s)

    def receive(self) -> Message | None:
        """Wait for one message; None at the end of the stream, also in the middle of a message.

        Raises:
            WireError: Not our protocol, or a message over the limit.
            OSError: The connection was reset.
        """
        if not self._need(_HEADER.size):
            return None
        magic, kind, flags, id_, count = _HEADER.unpack_from(self._buffer, self._start)
        if magic != _MAGIC or not 1 <= count <= _MAX_SEGMENTS:
            raise WireError("the worker's socket carries something that is no message of this protocol")
        table = struct.Struct(f"<{count}Q")
        if not self._need(_HEADER.size + table.size):
            return None
        sizes = table.unpack_from(self._buffer, self._start + _HEADER.size)
        inline = sum(size for size in sizes if not size & _IN_MEMFD)
        total = sum(size & ~_IN_MEMFD for size in sizes)
        if inline > INLINE_BYTES or total > MAX_BYTES:
            raise WireError(f"a message of {total} bytes is over the limit of {MAX_BYTES}")
        head = _HEADER.size + table.size
        if not self._need(head + inline):
            return None
        memory = self._memory(flags)
        try:
            position, offset = self._start + head, 0
            segments: list[bytearray] = []
            for size in sizes:
                if size & _IN_MEMFD:
                    size &= ~_IN_MEMFD
                    segments.append(_copy(memory, offset, size))
                    offset += -(-size // _ALIGN) * _ALIGN
                else:
                    segments.append(bytearray(self._view[position : position + size]))
                    position += size
        finally:
            if flags == _OWN_MEMFD and isinstance(memory, int):
                os.close(memory)
        self._start += head + inline
        if self._start == self._end:
            self._start = self._end = 0
        return Message(kind, id_, segments)

    def close(self) -> None:
        """Close the socket and whatever descriptors were received and not used."""
        self._sock.close()
        # Who remembers a worker that has ended, if only until the next garbage collection, need not keep its buffer.
        self._buffer = bytearray()
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        while self._fds:
            os.close(self._fds.popleft())
        self.forget_slab()
        if self._slab_in is not None:
            self._slab_in.close()
            self._slab_in = None

    def shutdown(self, how: int = socket.SHUT_RDWR) -> None:
        """Shut one or both directions down, without closing the descriptor under a waiting thread's feet."""
        try:
            self._sock.shutdown(how)
        except OSError:
            # The other end has closed already.
            pass

    def _memory(self, flags: int) -> mmap.mmap | int | None:
        """Where the large segments of a message are: a slab, or the descriptor of a memfd of its own."""
        if flags == _NO_MEMFD:
            return None
        if flags == _SLAB:
            return self._slab_in
        if not self._fds:
            raise WireError("a message came without its memfd: too many open files in this process?")
        memfd = self._fds.popleft()
        if flags == _OWN_MEMFD:
            return memfd
        try:
            if self._slab_in is not None:
                self._slab_in.close()
            self._slab_in = mmap.mmap(memfd, 0)
        finally:
            os.close(memfd)
        return self._slab_in

    def _need(self, count: int) -> bool:
        if self._start + count > len(self._buffer):
            rest = bytes(self._view[self._start : self._end])
            self._view[: len(rest)] = rest
            self._end -= self._start
            self._start = 0
        while self._end - self._start < count:
            got, ancillary, flags, _ = self._sock.recvmsg_into(
                [self._view[self._end :]], _ANCILLARY, socket.MSG_CMSG_CLOEXEC
            )
            for level, type_, data in ancillary:
                if level == socket.SOL_SOCKET and type_ == socket.SCM_RIGHTS:
                    fds = array.array("i")
                    fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
                    self._fds.extend(fds)
            if flags & socket.MSG_CTRUNC:
                raise WireError("a memfd was lost on the way: too many open files in this process?")
            if got == 0:
                return False
            self._end += got
        return True

    def _send_all(self, parts: list[Any], memfd: int) -> None:
        total = sum(len(part) for part in parts)
        ancillary = []
        if memfd >= 0:
            ancillary.append((socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [memfd])))
        # At most 1024 buffers go into one call (IOV_MAX); many small ones are joined.
        payload: list[Any] = parts if len(parts) <= 64 else [b"".join(parts)]
        sent = self._sock.sendmsg(payload, ancillary)
        if sent < total:
            self._sock.sendall(memoryview(b"".join(payload))[sent:])


def pack(body: Any) -> list[Any]:
    """Pickle an object into segments: the pickle, then its buffers.

    Raises:
        NotPicklable: It cannot be pickled, or is larger than MAX_BYTES.
    """
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = pickle.dumps(body, protocol=5, buffer_callback=buffers.append)
        segments: list[Any] = [data]
        segments += [buffer.raw() for buffer in buffers]
    except Exception as error:  # pickling runs the objects' own code: anything may come
        raise NotPicklable(f"cannot be pickled: {error}") from error
    if len(segments) > _MAX_SEGMENTS:
        # So many arrays are cheaper inside the pickle.
        segments = [pickle.dumps(body, protocol=5)]
    total = sum(len(segment) for segment in segments)
    if total > MAX_BYTES:
        raise NotPicklable(f"is {total / 1e6:.0f} MB, more than the limit of {MAX_BYTES / 1e6:.0f} MB for one message")
    return segments


def _allocate(name: str, size: int) -> int:
    """A memfd with all its pages: where they are missing that is an error here, not SIGBUS when they are written."""
    memfd = -1
    try:
        memfd = os.memfd_create(name, os.MFD_CLOEXEC)
        os.posix_fallocate(memfd, 0, size)
        return memfd
    except OSError as error:
        if memfd >= 0:
            os.close(memfd)
        raise _no_shared_memory(size, error) from error


def _map(memfd: int, size: int) -> mmap.mmap:
    try:
        return mmap.mmap(memfd, size)
    except (OSError, ValueError) as error:
        raise _no_shared_memory(size, error) from error


def _no_shared_memory(size: int, error: Exception) -> NoSharedMemory:
    why = error.strerror if isinstance(error, OSError) else error
    return NoSharedMemory(
        f"{size / 1e6:.1f} MB cannot cross between the processes: no shared memory ({why}): free memory or open files, "
        "or send smaller arrays"
    )


def _write_all(fd: int, data: Any, offset: int) -> None:
    view = memoryview(data)
    while len(view):
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written


def _copy(memory: mmap.mmap | int | None, offset: int, size: int) -> bytearray:
    """Take a segment out of shared memory."""
    if memory is None:
        raise WireError("a message refers to a memfd that was never sent")
    if isinstance(memory, int):
        segment = bytearray(size)
        view = memoryview(segment)
        while len(view):
            got = os.preadv(memory, [view], offset)
            if got == 0:
                raise WireError("a memfd is shorter than its message says")
            view = view[got:]
            offset += got
        return segment
    if offset + size > len(memory):
        raise WireError("a memfd is shorter than its message says")
    with memoryview(memory) as view, view[offset : offset + size] as part:
        return bytearray(part)
