"""Reads zip archives whose entries are compressed with Zstandard (method 93), as Inspect writes its `.eval` logs.

The standard library's zipfile lists such archives but opens their entries only from Python 3.14 on. Known limit: an
entry is held in memory whole.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from saltus.errors import UserError

ZSTD = 93
_LOCAL = struct.Struct("<4s5H3I2H")


class Archive:
    """An open archive: names and entries. A context manager. Raises UserError where the file is cut short or broken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise self._broken(str(error)) from error
        self.names = tuple(info.filename for info in self._zip.infolist())

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def read(self, name: str) -> bytes:
        """The entry's bytes, unpacked and checked against its checksum."""
        info = self._zip.getinfo(name)
        try:
            if info.compress_type != ZSTD:
                return self._zip.read(name)
            data = self._unpacked(info)
        except (zipfile.BadZipFile, OSError, EOFError, struct.error, zlib.error) as error:
            raise self._broken(f"{name}: {error}") from error
        if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
            raise self._broken(f"{name}: its checksum is wrong")
        return data

    def _unpacked(self, info: zipfile.ZipInfo) -> bytes:
        with open(self.path, "rb") as file:
            file.seek(info.header_offset)
            head = _LOCAL.unpack(file.read(_LOCAL.size))
            if head[0] != b"PK\x03\x04":
                raise zipfile.BadZipFile("no entry where the archive's list says there is one")
            file.seek(head[-2] + head[-1], 1)  # the name and the extra field come before the data
            packed = file.read(info.compress_size)
        if not info.file_size:
            return b""
        return bytes(pa.Codec("zstd").decompress(packed, info.file_size, asbytes=True))

    def _broken(self, why: str) -> UserError:
        return UserError(
            f"broken archive: {why}", where=str(self.path), wanted="a whole file", do="copy it again, or leave it out"
        )
