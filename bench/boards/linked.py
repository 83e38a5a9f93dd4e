"""What the linker says of a program: its map, and its symbols."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from bench.boards.board import Board
from bench.boards.emulate import tool


def section_bytes(map_file: Path) -> Counter[tuple[str, str]]:
    """Bytes that each object file has in each kind of section, by file and kind: ``("face.o", ".rodata")``."""
    found: Counter[tuple[str, str]] = Counter()
    text = map_file.read_text().partition("Linker script and memory map")[2]
    for kind, size, file in re.findall(
        r"^ (\.[a-z]+)\S*\s+0x[0-9a-f]+\s+0x([0-9a-f]+) (\S+)$", text, re.MULTILINE
    ):
        found[Path(file).name, kind] += int(size, 16)
    return found


def symbol_bytes(board: Board, program: Path) -> Counter[str]:
    """Bytes of each symbol of a program."""
    printed = tool(board.compiler.removesuffix("gcc") + "nm", "-S", program, folder=program.parent)
    found: Counter[str] = Counter()
    for size, symbol in re.findall(r"^[0-9a-f]+ ([0-9a-f]+) \w (\S+)$", printed, re.MULTILINE):
        found[symbol] += int(size, 16)
    return found
