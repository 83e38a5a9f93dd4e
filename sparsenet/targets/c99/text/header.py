"""``NAME.h``: what the program that uses the network sees."""

from __future__ import annotations

from collections.abc import Iterable

from sparsenet.targets.c99.constant import WORD
from sparsenet.targets.c99.plan import CPlan
from sparsenet.targets.c99.text.names import Names
from sparsenet.text.c_names import comment

#: Bytes at whose multiples the arena must begin.
ALIGNMENT = 16

_TEXT = """\
/* {title}
{notes} *
 * One context and one arena for each run that may be under way at a time; nothing else is written to.
 * Functions return $OK, $READY, or a negative number, one of $ERROR_...
 */
#ifndef $H
#define $H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#define $ARENA_BYTES {arena}u /* exact */
#define $ARENA_ALIGN {alignment}u
{sizes}
#define $OK 0
#define $READY 1
#define $ERROR_ARGUMENT (-1) /* a null pointer */
#define $ERROR_ARENA (-2)    /* the arena is too small, or not aligned */
#define $ERROR_STATE (-3)    /* no run has begun */

/* The state of a run; its members are no business of the caller's. */
typedef struct @ctx {{
    unsigned char *arena;
    unsigned char *output[{outputs}];
    const unsigned char *input[{inputs}];
    size_t input_row[{inputs}];
    uint32_t input_channel[{inputs}];
    uint32_t position;
    uint16_t done[{stages}];
}} @ctx;

/* Gives the context its arena, of at least $ARENA_BYTES bytes at a multiple of $ARENA_ALIGN; its contents do not
 * matter, and must be left alone while a run is under way. */
int @init(@ctx *ctx, void *arena, size_t bytes);

/* One inference.
{ports} */
int @run(@ctx *ctx, {parameters});
{rows}
#ifdef __cplusplus
}}
#endif

#endif
"""

_ROWS = """
/* The same row by row, without an array for the image: @begin, then @push_row for each of its {height} rows,
 * {row}, from the first to the last. @push_row returns $READY once the output is complete. */
int @begin(@ctx *ctx, {outputs});
int @push_row(@ctx *ctx, const {c_type} *row);
"""


def context_bytes(plan: CPlan) -> int:
    """Bytes of a context, where pointers have four."""
    words = 2 + len(plan.outputs) + len(plan.counts) + 3 * len(plan.inputs)
    return WORD * (words + -(-len(plan.stages) // 2))


def header(names: Names, title: str, notes: Iterable[str] = ()) -> str:
    """The text of the file; ``notes`` are lines about the meaning of its numbers."""
    plan = names.plan
    inputs, results = names.inputs, names.results
    sizes, ports = [], []
    for port in [*inputs, *results]:
        sizes.append(f"#define ${port.word.upper()}_SIZE {port.size}u")
        layout = f" ({plan.options.layout})" if port in inputs and port.is_image else ""
        facts = [f"'{comment(port.tensor)}'", port.c_type, f"{port.shape_text}{layout}", port.note]
        ports.append(f" *   {port.word}: {', '.join(fact for fact in facts if fact)}")
    parameters = [f"const {p.c_type} *{p.word}" for p in inputs] + [f"{p.c_type} *{p.word}" for p in results]
    rows = ""
    taker = plan.by_rows
    if taker is not None:
        channels, height, width = inputs[0].image
        sizes += [f"#define $ROWS {height}u", f"#define $ROW_SIZE {channels * width}u"]
        row = f"{channels} x {width}" if plan.options.layout == "chw" else f"{width} x {channels}"
        given = ", ".join(f"{p.c_type} *{p.word}" for p in results)
        rows = _ROWS.format(height=height, row=row, outputs=given, c_type=inputs[0].c_type)
    return names.fill(
        _TEXT.format(
            title=comment(title),
            notes="".join(f" * {comment(note)}\n" for note in notes),
            arena=plan.arena_bytes,
            alignment=ALIGNMENT,
            sizes="\n".join(sizes),
            inputs=len(inputs),
            outputs=len(results),
            stages=len(plan.stages),
            ports="\n".join(ports),
            parameters=", ".join(parameters),
            rows=rows,
        )
    )
