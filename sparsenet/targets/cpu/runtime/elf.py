"""Loads relocatable x86-64 ELF objects: sections copied to one block of memory, relocations applied, then executable.

It does what LLVM's loader does, for the few relocations that kernels have, without loading LLVM, which alone takes
longer than a small network's first inference. Any other object is refused, and LLVM's loader takes it.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from sparsenet.errors import MemoryLimitError

_ALLOCATED, _WRITABLE = 2, 1
_SYMBOLS, _RELOCATIONS, _NO_BITS, _UNWIND = 2, 4, 8, 0x70000001
_COMMON, _ABSOLUTE, _FIRST_RESERVED = 0xFFF2, 0xFFF1, 0xFF00
_R_64, _R_PC32, _R_PLT32, _R_PC64 = 1, 2, 4, 24
_CODE_ALIGNMENT = 64
#: Kernels take some kilobytes each; a size beyond this is damage.
_MAX_BYTES = 2**28
_TRAP = b"\x0f\x0b"

#: Symbols on paths that kernels never take, since they allocate and raise nothing: Numba's entry refers to them.
_NEVER_CALLED = ("Py", "_Py", "numba_", "NRT_")


class ObjectFileError(Exception):
    """The bytes are no object file, or a damaged one."""


class UnsupportedObjectError(ObjectFileError):
    """An object file that may be valid, but needs more than this loader supports."""


@dataclass
class _Section:
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int


@dataclass
class _Object:
    """An object file, and where its sections and common symbols go in the block."""

    data: bytes
    sections: list[_Section]
    symbols: list[tuple[str, int, int, int]] = field(default_factory=list)  # name, section, value, size
    places: dict[int, int] = field(default_factory=dict)
    commons: dict[int, int] = field(default_factory=dict)


def load(objects: Sequence[bytes], entries: Sequence[str]) -> list[int]:
    """Addresses of ``entries[i]`` in ``objects[i]``. Symbols of different objects do not see each other.

    Raises:
        ObjectFileError: damaged; ``UnsupportedObjectError``: for another machine, or more than this loader can do.
        MemoryLimitError: the system does not give the memory.
    """
    try:
        return _load(objects, entries)
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise ObjectFileError(f"damaged object file: {error}") from error


def _load(objects: Sequence[bytes], entries: Sequence[str]) -> list[int]:
    parsed = [_parse(data) for data in objects]
    size = len(_TRAP)
    for one in parsed:
        size = _place(one, size, writable=False)
    fixed = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    size = fixed
    for one in parsed:
        size = _place(one, size, writable=True)
    if size > _MAX_BYTES:
        raise ObjectFileError(f"it wants {size} bytes of memory")
    try:
        block = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryLimitError(f"the system does not give {size:,} bytes for machine code") from error
    base = ctypes.addressof(ctypes.c_char.from_buffer(block))
    block[: len(_TRAP)] = _TRAP
    found = []
    for one, entry in zip(parsed, entries, strict=True):
        for number, place in one.places.items():
            section = one.sections[number]
            if section.kind != _NO_BITS:
                block[place : place + section.size] = one.data[section.offset : section.offset + section.size]
        addresses = [_address(one, number, base) for number in range(len(one.symbols))]
        _relocate(one, block, base, addresses)
        found.append(_entry(one, entry, addresses))
    protect = _libc().mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if protect(base, fixed, mmap.PROT_READ | mmap.PROT_EXEC):
        raise UnsupportedObjectError("memory cannot be made executable")
    # Never freed, not even when the interpreter ends: daemon threads may still be in this code.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(block))
    return found


def _parse(data: bytes) -> _Object:
    magic, kind, machine = data[:6], *struct.unpack_from("<HH", data, 16)
    if not magic.startswith(b"\x7fELF"):
        raise ObjectFileError("not an ELF object")
    if (magic[4:], kind, machine) != (b"\x02\x01", 1, 62):
        raise UnsupportedObjectError("not an x86-64 object")
    (table,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    sections = []
    for number in range(count):
        _, kind, flags, _, offset, length, link, info, alignment, _ = struct.unpack_from(
            "<IIQQQQIIQQ", data, table + number * size
        )
        if kind != _NO_BITS and offset + length > len(data):
            raise ObjectFileError("it ends within a section")
        sections.append(_Section(kind, flags, offset, length, link, info, max(1, alignment)))
    one = _Object(data, sections)
    for section in sections:
        if section.kind == _SYMBOLS:
            names = sections[section.link]
            text = data[names.offset : names.offset + names.size]
            for name, _, _, where, value, length in struct.iter_unpack(
                "<IBBHQQ", data[section.offset : section.offset + section.size]
            ):
                one.symbols.append((text[name : text.index(0, name)].decode(), where, value, length))
    return one


def _place(one: _Object, size: int, *, writable: bool) -> int:
    """Give the sections of one kind a place in the block of ``size`` bytes so far; returns its size with them."""
    size = -(-size // _CODE_ALIGNMENT) * _CODE_ALIGNMENT
    for number, section in enumerate(one.sections):
        wanted = section.flags & _ALLOCATED and section.kind != _UNWIND
        if wanted and bool(section.flags & _WRITABLE) is writable:
            size = -(-size // section.alignment) * section.alignment
            one.places[number] = size
            size += section.size
    if writable:
        for number, (_, where, alignment, length) in enumerate(one.symbols):
            if where == _COMMON:
                size = -(-size // max(1, alignment)) * max(1, alignment)
                one.commons[number] = size
                size += length
    return size


def _address(one: _Object, number: int, base: int) -> int | None:
    """Address of a symbol; None if nothing that is loaded can mean it."""
    name, where, value, _ = one.symbols[number]
    if where == 0:
        if not name or name.startswith(_NEVER_CALLED):
            return base
        function = getattr(_libc(), name, None)
        if function is None:
            raise UnsupportedObjectError(f"it needs '{name}', which is nowhere to be found")
        return ctypes.cast(function, ctypes.c_void_p).value
    if where == _COMMON:
        return base + one.commons[number]
    if where == _ABSOLUTE:
        return value
    if where >= _FIRST_RESERVED:
        raise UnsupportedObjectError(f"symbol '{name}' in section {where}")
    return base + one.places[where] + value if where in one.places else None


def _entry(one: _Object, entry: str, addresses: Sequence[int | None]) -> int:
    for (name, where, *_), address in zip(one.symbols, addresses, strict=True):
        if name == entry and where != 0 and address is not None:
            return address
    raise ObjectFileError(f"no function '{entry[:80]}' in it")


def _relocate(one: _Object, block: mmap.mmap, base: int, addresses: Sequence[int | None]) -> None:
    for section in one.sections:
        if section.kind != _RELOCATIONS or section.info not in one.places:
            continue
        target = one.sections[section.info]
        place = one.places[section.info]
        for offset, info, addend in struct.iter_unpack(
            "<QQq", one.data[section.offset : section.offset + section.size]
        ):
            kind, symbol = info & 0xFFFFFFFF, addresses[info >> 32]
            width = 8 if kind in (_R_64, _R_PC64) else 4
            if (
                symbol is None
                or kind not in (_R_64, _R_PC32, _R_PLT32, _R_PC64)
                or offset + width > target.size
            ):
                raise UnsupportedObjectError(f"relocation of kind {kind}")
            value = symbol + addend - (0 if kind == _R_64 else base + place + offset)
            if width == 4 and not -(2**31) <= value < 2**31:
                raise UnsupportedObjectError("a relocation reaches too far")
            at = place + offset
            block[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "little")


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
