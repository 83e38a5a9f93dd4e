"""Pieces of C that kernels share."""

from __future__ import annotations

from collections.abc import Iterable

#: Of all kernels but those that take the caller's rows.
PARAMETERS = "const ARGS *a, const void *const *rows, void *out_row, uint32_t y"


def indented(lines: Iterable[str], depth: int = 1) -> list[str]:
    """The lines, ``depth`` steps to the right."""
    return [f"{'    ' * depth}{line}" if line else "" for line in lines]


def block(head: str, lines: Iterable[str]) -> list[str]:
    """A statement with a body."""
    return [f"{head} {{".lstrip(), *indented(lines), "}"]


def along_line(tile: int, lines: list[str], width: str = "a->width") -> list[str]:
    """Do ``lines`` for tiles of pixels from ``x0`` on; the last one ends with the line and may overlap another."""
    return block(
        f"for (uint32_t x0 = 0;; x0 = x0 + {2 * tile}u > {width} ? {width} - {tile}u : x0 + {tile}u)",
        [*lines, *block(f"if (x0 + {tile}u >= {width})", ["break;"])],
    )


def named(letter: str, count: int) -> list[str]:
    """Names of ``count`` variables."""
    return [f"{letter}{number}" for number in range(count)]
