"""A static library of one object file, written without tools: the ``ar`` format with GNU's symbol table."""

from __future__ import annotations

from collections.abc import Sequence

MAGIC = b"!<arch>\n"
MEMBER = "sparsenet.o"


def archive(code: bytes, symbols: Sequence[str]) -> bytes:
    """The library with the object file ``code``, which defines ``symbols``; the same bytes for the same code."""
    names = b"".join(symbol.encode() + b"\0" for symbol in symbols)
    table_size = 4 * (1 + len(symbols)) + len(names)
    place = len(MAGIC) + _HEADER_BYTES + table_size + table_size % 2
    table = b"".join(number.to_bytes(4, "big") for number in (len(symbols), *[place] * len(symbols))) + names
    return MAGIC + _member("/", table) + _member(f"{MEMBER}/", code)


_HEADER_BYTES = 60


def _member(name: str, data: bytes) -> bytes:
    # Name, time, owner, group, mode, size; members begin at even places.
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'644':<8}{len(data):<10}`\n".encode()
    assert len(header) == _HEADER_BYTES
    return header + data + b"\n" * (len(data) % 2)
