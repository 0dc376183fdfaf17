"""Makes a smaller language model from one that is there: the same with fewer layers. It talks nonsense, fast."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_ALIGNMENT = 32


class Reader:
    """GGUF's little-endian fields, one after the other."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def take(self, form: str):
        return struct.unpack(f"<{form}", self.stream.read(struct.calcsize(f"<{form}")))[0]

    def text(self) -> str:
        return self.stream.read(self.take("Q")).decode()

    def skip(self, kind: int) -> None:
        if kind == _STRING:
            self.text()
        elif kind == _ARRAY:
            item, count = self.take("I"), self.take("Q")
            for _ in range(count):
                self.skip(item)
        else:
            self.take(_SCALARS[kind])


def keep_layers(source: Path, target: Path, layers: int) -> Path:
    """Writes the model with its first `layers` layers only."""
    with source.open("rb") as stream:
        reader = Reader(stream)
        assert stream.read(4) == b"GGUF"
        version, tensors, pairs = reader.take("I"), reader.take("Q"), reader.take("Q")
        began, count_at = stream.tell(), 0
        for _ in range(pairs):
            key, kind = reader.text(), reader.take("I")
            if key.endswith(".block_count"):
                count_at = stream.tell() - began
            reader.skip(kind)
        end = stream.tell()
        infos = []
        for _ in range(tensors):
            name, dimensions = reader.text(), reader.take("I")
            shape = [reader.take("Q") for _ in range(dimensions)]
            infos.append((name, shape, reader.take("I"), reader.take("Q")))
        data_at = _aligned(stream.tell())
        size = source.stat().st_size - data_at
        stream.seek(began)
        header = bytearray(stream.read(end - began))
        struct.pack_into("<I", header, count_at, layers)

        offsets = sorted(info[3] for info in infos)
        ends = dict(zip(offsets, [*offsets[1:], size], strict=True))
        kept = [one for one in infos if not one[0].startswith("blk.") or int(one[0].split(".")[1]) < layers]
        with target.open("wb") as out:
            out.write(b"GGUF" + struct.pack("<IQQ", version, len(kept), pairs) + header)
            offset = 0
            for name, shape, kind, old in kept:
                out.write(struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", len(shape)))
                out.write(struct.pack(f"<{len(shape)}QIQ", *shape, kind, offset))
                offset = _aligned(offset + ends[old] - old)
            out.write(b"\0" * (_aligned(out.tell()) - out.tell()))
            start = out.tell()
            for _, _, _, old in kept:
                stream.seek(data_at + old)
                out.write(stream.read(ends[old] - old))
                here = out.tell() - start
                out.write(b"\0" * (_aligned(here) - here))
    return target


def _aligned(position: int) -> int:
    return -(-position // _ALIGNMENT) * _ALIGNMENT
