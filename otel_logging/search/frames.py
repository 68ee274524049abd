"""Sealed files: independent compressed frames, one after the other, each of whole lines.

`zcat` and `zstdcat` give the original back byte by byte. zstd where Python has it (3.14, or the package `zstandard` or
`backports.zstd`), else gzip. Which files are sealed, and where frames are remembered, does not belong here.
"""

from __future__ import annotations

import zlib

from otel_logging.plain import Row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, BinaryIO, Final

GZIP: Final = ".gz"
ZSTD: Final = ".zst"
SUFFIXES: Final = (GZIP, ZSTD)
FRAME_BYTES: Final = 64 * 1024
"""A frame ends with the line that reaches this many bytes."""

LONGEST: Final = 64 * 1024 * 1024  # bytes of one frame; it is held in memory
_GZIP_WINDOW: Final = 31  # zlib's way to say: with a gzip header
_GZIP_LEVEL: Final = 1
_ZSTD_LEVEL: Final = 3
_STEP: Final = 64 * 1024


class Damaged(OSError):  # noqa: N818 (a verdict on a file)
    """A sealed file that cannot be decompressed."""

    def __init__(self, why: object) -> None:
        super().__init__(0, f"a damaged sealed file ({why})")


class Frame(Row):
    """Where a frame is: its lines begin at `start` and end before `end`; its `size` bytes stand at `place`."""

    start: int
    end: int
    place: int
    size: int


def _zstd() -> tuple[Any, bool] | None:
    """The zstd module and whether it has the standard library's interface; None where there is none."""
    import importlib

    for name, standard in (("compression.zstd", True), ("zstandard", False), ("backports.zstd", True)):
        try:
            return importlib.import_module(name), standard
        except ImportError:  # noqa: PERF203 (three names, once)
            continue
    return None


def best_suffix() -> str:
    """What new frames are compressed with here: `.zst`, or `.gz` without zstd."""
    return GZIP if _zstd() is None else ZSTD


def compress(block: bytes, suffix: str) -> bytes:
    """One frame. Raises LookupError where there is no zstd."""
    if suffix == GZIP:
        packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
        return packer.compress(block) + packer.flush()
    module, standard = _need_zstd()
    packed: bytes = (
        module.compress(block, _ZSTD_LEVEL) if standard else module.ZstdCompressor(level=_ZSTD_LEVEL).compress(block)
    )
    return packed


def decompress(data: bytes, suffix: str, size: int) -> bytes:
    """The lines of one frame of `size` bytes of lines. Raises Damaged, and LookupError where there is no zstd."""
    unpacker = _unpacker(suffix)
    try:
        block: bytes = unpacker.decompress(data)
    except Exception as error:
        raise Damaged(error) from None
    if len(block) != size:
        raise Damaged("a frame is not as long as it was")
    return block


def stream(file: BinaryIO, suffix: str) -> BinaryIO:
    """The whole file decompressed, to be read in pieces. Raises LookupError where there is no zstd."""
    made: Any
    if suffix == GZIP:
        import gzip

        made = gzip.GzipFile(fileobj=file, mode="rb")
    else:
        module, standard = _need_zstd()
        if standard:
            made = module.ZstdFile(file, "rb")
        else:
            made = module.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False)
    return _Stream(made)  # type: ignore[return-value]


class _Stream:
    """Only `read`, with one kind of error for all libraries."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def read(self, size: int) -> bytes:
        try:
            data: bytes = self._inner.read(size)
        except Exception as error:  # OSError, EOFError, zlib.error, ZstdError
            raise Damaged(error) from None
        return data


def walk(file: BinaryIO, suffix: str) -> Iterator[tuple[Frame, bytes]]:
    """The frames of a file with their lines, from its beginning.

    Raises:
        Damaged: it cannot be decompressed from there on, or a frame is too large.
        LookupError: there is no zstd.
    """
    start = place = 0
    held = b""
    while True:
        unpacker = _unpacker(suffix)
        pieces: list[bytes] = []
        size = 0
        data = held or file.read(_STEP)
        if not data:
            return
        used = 0
        while True:
            try:
                piece = unpacker.decompress(data)
            except Exception as error:
                raise Damaged(error) from None
            pieces.append(piece)
            size += len(piece)
            used += len(data)
            if unpacker.eof:
                break
            if size > LONGEST:
                raise Damaged("a frame is too large")
            data = file.read(_STEP)
            if not data:
                raise Damaged("it ends in the middle of a frame")
        held = unpacker.unused_data
        used -= len(held)
        yield Frame(start, start + size, place, used), b"".join(pieces)
        start += size
        place += used


def blocks_of_lines(file: BinaryIO) -> Iterator[bytes]:
    """The bytes of a file in blocks as they become frames; what follows the last newline is a block of its own.

    Raises:
        ValueError: a line is too long to be in a frame.
    """
    held = b""
    while data := file.read(8 * 1024 * 1024):
        data = held + data
        begin = 0
        while True:
            end = data.find(b"\n", begin + FRAME_BYTES - 1) + 1
            if not end:
                break
            yield data[begin:end]
            begin = end
        held = data[begin:]
        if len(held) > LONGEST:
            raise ValueError("a line is too long")
    last = held.rfind(b"\n") + 1
    yield from (piece for piece in (held[:last], held[last:]) if piece)


def pack(blocks: Iterable[bytes], suffix: str) -> Iterator[bytes]:
    """The blocks as frames."""
    for block in blocks:
        yield compress(block, suffix)


def _unpacker(suffix: str) -> Any:
    if suffix == GZIP:
        return zlib.decompressobj(_GZIP_WINDOW)
    module, standard = _need_zstd()
    return module.ZstdDecompressor() if standard else module.ZstdDecompressor().decompressobj()


def _need_zstd() -> tuple[Any, bool]:
    found = _zstd()
    if found is None:
        raise LookupError("compressed with zstd; install the package zstandard to read it")
    return found
