"""Non-maximum suppression: of each class the boxes with the best scores that overlap no better one."""

from __future__ import annotations

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block, indented

#: Helpers by the beginning of a call of them.
HELPERS = {
    "@overlap(": """\
/* Intersection over union of two boxes, 0 where either has no area: two corners, or a center and sizes. */
static double @overlap(const float *p, const float *q, uint32_t center)
{
    double both = 1.0, first = 1.0, second = 1.0;
    for (uint32_t axis = 0; axis < 2u; ++axis) {
        double ends[2][2], low, high;
        for (uint32_t box = 0; box < 2u; ++box) {
            const double u = (box != 0u ? q : p)[axis], v = (box != 0u ? q : p)[axis + 2u];
            ends[box][0] = center != 0u ? u - v / 2.0 : u < v ? u : v;
            ends[box][1] = center != 0u ? u + v / 2.0 : u < v ? v : u;
        }
        low = ends[0][0] > ends[1][0] ? ends[0][0] : ends[1][0];
        high = ends[0][1] < ends[1][1] ? ends[0][1] : ends[1][1];
        if (!(high > low && ends[0][1] > ends[0][0] && ends[1][1] > ends[1][0])) {
            return 0.0;
        }
        both *= high - low;
        first *= ends[0][1] - ends[0][0];
        second *= ends[1][1] - ends[1][0];
    }
    return both / (first + second - both);
}
""",
}


def body(_kernel: Kernel) -> list[str]:
    """Rows [group, class, box], then -1. The boxes of a class that score enough are taken from a heap, best first."""
    return indented([
        "const float *scores = (const float *)rows[1];",
        "float *const heap = (float *)rows[2];",
        "float *const out = (float *)out_row;",
        "uint32_t row = 0;",
        "(void)y;",
        *block("for (uint32_t line = 0; line < a->groups * a->classes; ++line, scores += a->size)", [
            "const float *boxes = (const float *)rows[0] + (size_t)4 * a->size * (line / a->classes);",
            "const uint32_t begin = row;",
            "uint32_t left = 0;",
            *block("for (uint32_t i = 0; i < a->size; ++i)",
                block("if (scores[i] > a->least)", ["heap[left++] = (float)i;"])),
            *block("for (uint32_t i = left / 2u; i-- > 0u;)", ["@sink(heap, 1, left, i, scores, 1.0f, 1);"]),
            *block("while (left > 0u && row - begin < a->count)", [
                "const float best = heap[0];",
                "uint32_t kept = begin;",
                "heap[0] = heap[--left];",
                "@sink(heap, 1, left, 0, scores, 1.0f, 1);",
                *block("while (kept < row)", [
                    "const float *other = boxes + 4u * (size_t)out[3u * kept + 2u];",
                    *block("if (@overlap(boxes + 4u * (size_t)best, other, a->center) > (double)a->limit)", ["break;"]),
                    "++kept;",
                ]),
                *block("if (kept == row)", [
                    "out[3u * row] = (float)(line / a->classes);",
                    "out[3u * row + 1u] = (float)(line % a->classes);",
                    "out[3u * row++ + 2u] = best;",
                ]),
            ]),
        ]),
        *block("for (uint32_t i = 3u * row; i < 3u * a->rows; ++i)", ["out[i] = -1.0f;"]),
    ])  # fmt: skip
