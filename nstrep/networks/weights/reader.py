"""Bounded reading of a binary file."""

from __future__ import annotations

import os
import struct
from typing import Any, BinaryIO

from nstrep.base.npz import FormatError


class Reader:
    """Reads an open file from its beginning; every size is checked against the file's length."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.position = file, 0
        self.length = os.fstat(file.fileno()).st_size

    def skip(self, size: int) -> int:
        """Advance by ``size`` bytes and return the position before them."""
        if not 0 <= size <= self.length - self.position:
            raise FormatError(
                f"is damaged or cut short: {size} bytes are due at byte {self.position}, "
                f"it has {self.length}"
            )
        self.position += size
        return self.position - size

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        return self.at(self.skip(size), size)

    def unpack(self, layout: str) -> tuple[Any, ...]:
        """Return the next little-endian fields, in the notation of :func:`struct.unpack`."""
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def at(self, start: int, size: int) -> bytes:
        """Return ``size`` bytes from ``start``, a range that :meth:`skip` has checked."""
        self.file.seek(start)
        data = self.file.read(size)
        if len(data) != size:
            raise FormatError("became shorter while it was read")
        return data
