"""``NAME_test.c``: an input, the output that is expected of it, and a program that compares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sparsenet.graph import FloatArray
from sparsenet.targets.c99.text.literals import array, number, numbers
from sparsenet.targets.c99.text.names import Names

#: How far results may be from those expected, in parts of the largest expected number: other orders of sums; and where
#: their results are rounded to bytes, which may then be the next ones.
TOLERANCE, TOLERANCE_OF_MIXED = 2.0**-12, 2.0**-4

_TEXT = """\
/* Runs the network on an input and compares with the output that is expected; returns 0 if all is well. */
#include "{name}.h"

#include <math.h>
#include <stdio.h>

#ifndef ARDUINO /* which compiles whatever lies in a library's folder */

/* Numbers of the input times 256. */
{arrays}
static unsigned char arena_bytes[$ARENA_BYTES + $ARENA_ALIGN];
static @ctx ctx;
{buffers}

static int differs(const char *what, const float *found, const float *expected, size_t size, float tolerance)
{{
    for (size_t i = 0; i < size; ++i) {{
        const float difference = found[i] > expected[i] ? found[i] - expected[i] : expected[i] - found[i];
        const int same = found[i] == expected[i] || (found[i] != found[i] && expected[i] != expected[i]);
        if (!same && !(difference <= tolerance)) {{
            printf("%s[%lu] is %.9g, expected %.9g\\n", what, (unsigned long)i, (double)found[i], (double)expected[i]);
            return 1;
        }}
    }}
    return 0;
}}

int main(void)
{{
    int wrong = 0;
    unsigned char *arena = arena_bytes;
    while ((uintptr_t)arena % $ARENA_ALIGN != 0u) {{
        ++arena;
    }}
{fill}
    if (@init(&ctx, arena, $ARENA_BYTES) != $OK || @run(&ctx, {arguments}) != $OK) {{
        printf("the network does not run\\n");
        return 1;
    }}
{compare}
{rows}
    printf("%s\\n", wrong ? "wrong" : "ok");
    return wrong;
}}

#endif
"""


def test_program(
    names: Names,
    feeds: Sequence[npt.NDArray[np.uint8]],
    expected: Sequence[FloatArray],
    counts: Sequence[int],
) -> str:
    """The text of the file.

    Args:
        names: of the network.
        feeds: of each input its numbers, times 256 if they are float32, as the caller lays them out.
        expected: of each output its numbers.
        counts: of each count behind the outputs what is expected.
    """
    arrays, buffers, fill, compare, arguments = [], [], [], [], []
    part = TOLERANCE_OF_MIXED if names.plan.is_mixed else TOLERANCE
    for port, feed in zip(names.inputs, feeds, strict=True):
        arrays.append(array(f"static const uint8_t given_{port.word}", numbers(feed)))
        if port.c_type == "uint8_t":
            arguments.append(f"given_{port.word}")
            continue
        arguments.append(port.word)
        buffers.append(f"static float {port.word}[{port.size}];")
        fill.append(
            f"    for (size_t i = 0; i < {port.size}u; ++i) {{\n"
            f"        {port.word}[i] = (float)given_{port.word}[i] / 256.0f;\n    }}"
        )
    for port, right in zip(names.outputs, expected, strict=True):
        arrays.append(array(f"static const float expected_{port.word}", numbers(right)))
        largest = float(np.abs(right[np.isfinite(right)]).max(initial=2.0**-100))
        tolerance = number(part * largest)
        compare.append(
            f'    wrong |= differs("{port.word}", {port.word}, expected_{port.word}, {port.size}u, {tolerance});'
        )
    for port, valid in zip(names.counts, counts, strict=True):
        compare.append(
            f"    if ({port.word}[0] != {valid}) {{\n"
            f'        printf("{port.word} is %ld, expected {valid}\\n", (long){port.word}[0]);\n'
            "        wrong = 1;\n    }"
        )
    for port in names.results:
        buffers.append(f"static {port.c_type} {port.word}[{port.size}];")
        arguments.append(port.word)
    return names.fill(
        _TEXT.format(
            name=names.name,
            arrays="\n".join(arrays),
            buffers="\n".join(buffers),
            fill="\n".join(fill),
            arguments=", ".join(arguments),
            compare="\n".join(compare),
            rows=_rows(names, compare),
        )
    )


def _rows(names: Names, compare: Sequence[str]) -> str:
    """The same row by row, in the same memory."""
    plan = names.plan
    if plan.by_rows is None:
        return ""
    (port,) = names.inputs
    channels, height, width = port.image
    given = port.word if port.c_type == "float" else f"given_{port.word}"
    size = channels * width
    if plan.options.layout == "chw":
        place = f"{given}[(i / {width}u * {height}u + y) * {width}u + i % {width}u]"
    else:
        place = f"{given}[y * {size}u + i]"
    clear = [
        f"    for (size_t i = 0; i < {p.size}u; ++i) {{\n        {p.word}[i] = 0;\n    }}"
        for p in names.results
    ]
    outputs = ", ".join(p.word for p in names.results)
    return "\n".join([
        *clear,
        f"    wrong |= @begin(&ctx, {outputs}) != $OK;",
        "    for (size_t y = 0; y < $ROWS; ++y) {",
        f"        static {port.c_type} row[$ROW_SIZE];",
        "        for (size_t i = 0; i < $ROW_SIZE; ++i) {",
        f"            row[i] = {place};",
        "        }",
        "        if (@push_row(&ctx, row) != $READY && y + 1u == $ROWS) {",
        "            wrong = 1;",
        "        }",
        "    }",
        *compare,
    ])  # fmt: skip
