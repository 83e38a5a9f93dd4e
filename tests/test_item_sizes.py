"""No literal 4 or 8 stands where the size of an item is meant."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: Operations by which an item's size, or the bits that number its bytes, come into a formula.
_OF_A_SIZE: dict[type[ast.operator], set[int]] = {
    ast.Mult: {4, 8},
    ast.FloorDiv: {4, 8},
    ast.Mod: {4, 8},
    ast.LShift: {2, 3},
    ast.RShift: {2, 3},
    ast.BitAnd: {3, 7},
}
#: What these mean really: bits of a byte, parts of a cache or of the registers, counts of instructions or others.
_NO_SIZES = {
    *("8 * element.itemsize", "8 * self.mask_bytes", "8 * index_bytes", "8 * width", "lanes // 8"),
    *("l1_bytes * 3 // 4", "target.registers // 4", "4 * self.threads", "4 * kernel.element.itemsize"),
    *("size // 4", "tap_offsets(conv, x.maps) % 4", "8 * values", "4 * tile.rows", "splits * 4"),
    *("8 * QUAD", "4 * step", "quads // 4", "quads // 4 * 4", "8 * unpacked"),
    *("4 * tile", "k_h * k_w * 8", "-length // 4", "8 * j", "8 * self.item"),
}


def _literal_sizes(source: str) -> list[str]:
    """Operations with a number that may be meant for an item's size, lists repeated so often left out."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.BinOp) or isinstance(node.left, ast.List):
            continue
        suspects = _OF_A_SIZE.get(type(node.op), set())
        sides = [node.left, node.right] if isinstance(node.op, ast.Mult) else [node.right]
        if any(isinstance(side, ast.Constant) and side.value in suspects for side in sides):
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("folder", ["plan", "targets"])
def test_the_size_of_an_item_is_asked_of_its_type(folder: str) -> None:
    samples = ["a * 4", "b // 4", "c << 2", "d & 3", "8 * e", "f % 4"]
    assert [_literal_sizes(sample) for sample in [*samples, "[0] * 4", "4 + a"]] == [
        *([s] for s in samples),
        [],
        [],
    ]
    found = {
        f"{path.relative_to(ROOT)}: {text}"
        for path in (ROOT / "sparsenet" / folder).rglob("*.py")
        for text in _literal_sizes(path.read_text())
        if text not in _NO_SIZES
    }
    assert not found, "is it an item's size? See 'A new element type' in docs/extending.md"
