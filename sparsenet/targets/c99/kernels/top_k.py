"""Indices of the largest numbers of an axis of a tensor in C order: (outer, size, inner)."""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block, indented


def body(_kernel: Kernel) -> list[str]:
    """The result is the heap: of the indices in it the last is at the root, until another comes before it."""
    return indented([
        "const size_t step = a->inner;",
        "(void)y;",
        *block("for (uint32_t line = 0; line < a->outer * a->inner; ++line)", [
            "const uint32_t o = line / a->inner, k = line % a->inner;",
            "const float *x = (const float *)rows[0] + (size_t)o * a->size * step + k;",
            "float *heap = (float *)out_row + (size_t)o * a->count * step + k;",
            *block("for (uint32_t i = 0; i < a->count; ++i)", ["heap[i * step] = (float)i;"]),
            *block("for (uint32_t i = a->count / 2u; i-- > 0u;)", ["@sink(heap, step, a->count, i, x, a->sign, 0);"]),
            *block("for (uint32_t i = a->count; i < a->size; ++i)",
                block("if (@before(x, step, a->sign, i, (uint32_t)heap[0]))", [
                    "heap[0] = (float)i;",
                    "@sink(heap, step, a->count, 0, x, a->sign, 0);",
                ])),
            *block("for (uint32_t end = a->count; end-- > 1u;)", [
                "const float last = heap[0];",
                "heap[0] = heap[end * step];",
                "heap[end * step] = last;",
                "@sink(heap, step, end, 0, x, a->sign, 0);",
            ]),
        ]),
    ])  # fmt: skip
