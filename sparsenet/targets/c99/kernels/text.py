"""Pieces of C that kernels share."""

from __future__ import annotations

from collections.abc import Iterable

from sparsenet.targets.c99.kernel import Kernel


def indented(lines: Iterable[str], depth: int = 1) -> list[str]:
    """The lines, ``depth`` steps to the right."""
    return [f"{'    ' * depth}{line}" if line else "" for line in lines]


def block(head: str, lines: Iterable[str]) -> list[str]:
    """A statement with a body."""
    return [f"{head} {{".lstrip(), *indented(lines), "}"]


def along_line(kernel: Kernel, lines: list[str]) -> list[str]:
    """Do ``lines`` for tiles of pixels from ``x0`` on; the last one ends with the line and may overlap another.

    Each row's pointer goes along: it is to the first tap of the window of pixel ``x0``. Compilers keep it in one
    register, which they do not where it is a sum.
    """
    tile, stride = kernel.parameter("width"), kernel.parameter("stride")
    return [
        "const uint32_t width = a->width;",
        "uint32_t x0 = 0;",
        "@move(rows, a->kernel_rows, -(ptrdiff_t)a->before);",
        *block(
            "for (;;)",
            [
                *lines,
                *block(f"if (x0 + {tile}u >= width)", ["break;"]),
                *block(
                    "",
                    [
                        f"const uint32_t step = x0 + {2 * tile}u > width ? width - {tile}u - x0 : {tile}u;",
                        f"@move(rows, a->kernel_rows, (ptrdiff_t)step{f' * {stride}' if stride > 1 else ''});",
                        "x0 += step;",
                    ],
                ),
            ],
        ),
    ]


def named(letter: str, count: int) -> list[str]:
    """Names of ``count`` variables."""
    return [f"{letter}{number}" for number in range(count)]
