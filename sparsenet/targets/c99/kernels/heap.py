"""Heaps of indices in C, ordered by the numbers that the indices stand for."""

from __future__ import annotations

#: Helpers by the beginning of a call of them. Indices are kept as float32 numbers, as results are.
HELPERS = {
    "@sink(": """\
/* Lets the index at a place of a heap sink; `first`: whether the root comes first of all, or last. Indices and numbers
 * are `step` apart. */
static void @sink(float *heap, size_t step, uint32_t size, uint32_t place, const float *x, float sign, int first)
{
    const float index = heap[place * step];
    while (2u * place + 1u < size) {
        uint32_t child = 2u * place + 1u;
        if (child + 1u < size
            && @before(x, step, sign, (uint32_t)heap[(child + 1u) * step], (uint32_t)heap[child * step]) == first) {
            ++child;
        }
        if (@before(x, step, sign, (uint32_t)index, (uint32_t)heap[child * step]) == first) {
            break;
        }
        heap[place * step] = heap[child * step];
        place = child;
    }
    heap[place * step] = index;
}
""",
    "@before(": """\
/* Whether number i, times a sign, comes before number j: NaN, then the larger, then the one in front. */
static int @before(const float *x, size_t step, float sign, uint32_t i, uint32_t j)
{
    const float left = sign * x[i * step], right = sign * x[j * step];
    if (left > right || left < right) {
        return left > right;
    }
    if ((left != left) != (right != right)) {
        return left != left;
    }
    return i < j;
}
""",
}
