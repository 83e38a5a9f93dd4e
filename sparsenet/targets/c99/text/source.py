"""``NAME.c``: the plan as typed calls, and the functions that run them in the order of the schedule."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.targets.c99.constant import WORD, Constant, Word, whole_words
from sparsenet.targets.c99.plan import CPlan
from sparsenet.targets.c99.stage import Read, Stage
from sparsenet.targets.c99.text.header import ALIGNMENT
from sparsenet.targets.c99.text.kernels import name_of
from sparsenet.targets.c99.text.literals import array, c_type, number, numbers
from sparsenet.targets.c99.text.names import Names
from sparsenet.targets.c99.text.run import functions
from sparsenet.targets.c99.value import Value
from sparsenet.text.c_names import comment

_TEXT = """\
/* The network as typed calls in the order of a schedule. */
#include "{name}.h"

#include <string.h>

#define $WITH_KERNELS
#include "{name}_kernels.h"

/* A map: rows of `row` bytes from `start` on, `capacity` of them kept; before its first row is made, `clear` bytes from
 * `start - front` on are set to `zero`. In the arena or, counted from 1, a result of the caller's, or in flash. */
typedef struct {{
    const void *constant;
    uint32_t start, row, height, capacity, front, clear;
    uint16_t output;
    uint8_t zero;
}} @map;

/* The rows of a map that a unit reads: `rows`, `dilation` apart, from `unit * step + first` on, or those of a table. */
typedef struct {{
    const uint16_t *table;
    uint16_t map;
    uint16_t rows, step, dilation;
    int32_t first;
}} @read;

/* A kernel: its arguments, the rows that it reads, where its result goes, and the number of the unit. */
typedef void (*@kernel)(const void *arguments, const void **rows, void *out, uint32_t y);

/* A stage is a call that makes a map, `rows` of it with each unit, 1 or 0; it reads `reads` windows from `read` on, or,
 * counted from 1, one of the caller's inputs. */
typedef struct {{
    @kernel kernel;
    const void *arguments;
    uint16_t map, read, reads;
    uint8_t rows, input;
}} @stage;

{maps}
{reads}
{arguments}
{stages}
/* Of every call the number of its stage. */
#define $CALLS {calls}u
{order}
static size_t @place(const @map *map, uint32_t y)
{{
    return map->start + (size_t)(y % map->capacity) * map->row;
}}

static unsigned char *@target(const @ctx *ctx, const @map *map)
{{
    return map->output != 0u ? ctx->output[map->output - 1u] : ctx->arena;
}}

static const void *@row(const @ctx *ctx, const @map *map, uint32_t y)
{{
    const unsigned char *base = (const unsigned char *)map->constant;
    return (base != NULL ? base : @target(ctx, map)) + @place(map, y);
}}

static void @call(@ctx *ctx, uint32_t number)
{{
    const @stage *stage = &@stages[number];
    const @map *map = &@maps[stage->map];
    const uint32_t y = ctx->done[number];
    const void *rows[{most_rows}];
    uint32_t count = 0;
    void *out;
    if (y == 0u && map->clear != 0u) {{
        memset(ctx->arena + map->start - map->front, map->zero, map->clear);
    }}
    for (uint32_t i = 0; i < stage->reads; ++i) {{
        const @read *read = &@reads[stage->read + i];
        const @map *source = &@maps[read->map];
        int32_t row = (int32_t)(y * read->step) + read->first;
        for (uint32_t k = 0; k < read->rows; ++k) {{
            if (read->table != NULL) {{
                row = read->table[y * read->rows + k];
            }}
            rows[count++] = row >= 0 && (uint32_t)row < source->height ? @row(ctx, source, (uint32_t)row) : NULL;
            row += (int32_t)read->dilation;
        }}
    }}
    out = @target(ctx, map) + @place(map, stage->rows * y);
    ctx->done[number] = (uint16_t)(y + 1u);
    if (stage->input != 0u) {{
        const uint32_t i = stage->input - 1u;
        rows[0] = ctx->input[i] + y * ctx->input_row[i];
        stage->kernel(stage->arguments, rows, out, ctx->input_channel[i]);
    }} else {{
        stage->kernel(stage->arguments, rows, out, y);
    }}
}}

{functions}"""

#: Bytes of a map, a read and a stage where pointers have four.
_MAP, _READ, _STAGE = 32, 16, 16


def source(names: Names) -> str:
    """The text of the file."""
    plan = names.plan
    places, order = {value: place for place, value in enumerate(plan.values)}, _order(plan)
    reads = [_read(read, stage, places) for stage in plan.stages for read in stage.pointers]
    return names.fill(
        _TEXT.format(
            name=names.name,
            maps=array("static const @map @maps", [_map(value) for value in plan.values]),
            reads=array("static const @read @reads", reads or ["{NULL, 0, 0, 0, 0, 0}"]),
            stages=array("static const @stage @stages", _stages(plan.stages, places)),
            calls=len(plan.order),
            order=array(f"static const {c_type(order)} @order", numbers(order)),
            arguments="\n".join(_arguments(number, stage) for number, stage in enumerate(plan.stages)),
            most_rows=max(1, *(sum(read.rows for read in stage.pointers) for stage in plan.stages)),
            functions=functions(names, ALIGNMENT),
        )
    )


def table_bytes(plan: CPlan) -> int:
    """Bytes of the tables: maps, reads, arguments, stages and the schedule, where pointers have four."""
    reads = sum(len(stage.pointers) for stage in plan.stages)
    words = sum(len(stage.kernel.members) for stage in plan.stages)
    tables = _MAP * len(plan.values) + _READ * max(1, reads) + WORD * words + _STAGE * len(plan.stages)
    return tables + _order(plan).nbytes


def _order(plan: CPlan) -> npt.NDArray[Any]:
    return whole_words(np.array(plan.order, np.uint8 if len(plan.stages) <= 256 else np.uint16))


def _map(value: Value) -> str:
    item = value.element.itemsize
    clear = value.buffer_bytes if value.side else 0
    start = 0 if value.output is not None or value.fixed is not None else value.offset + value.first
    output = 0 if value.output is None else value.output + 1
    words = (start, value.row * item, value.height, value.capacity, value.first, clear)
    constant = "NULL" if value.fixed is None else name_of(value.fixed)
    return f"{{{constant}, {', '.join(f'{word}u' for word in words)}, {output}u, {value.zero}u}}"


def _read(read: Read, stage: Stage, places: dict[Value, int]) -> str:
    """Steps are those that are taken: of a single unit, and between the rows of a window of one, there are none."""
    step = 0 if read.whole or stage.units == 1 else read.step
    words = (places[read.source], read.rows, step, read.dilation if read.rows > 1 else 0)
    table = "NULL" if read.table is None else name_of(read.table)
    return f"{{{table}, {', '.join(f'{word}u' for word in words)}, {read.first}}}"


def _stages(stages: list[Stage], places: dict[Value, int]) -> list[str]:
    words, first = [], 0
    for place, stage in enumerate(stages):
        taken = 0 if stage.input is None else stage.input + 1
        counts = (places[stage.out], first, len(stage.pointers), int(stage.by_rows), taken)
        words.append(f"{{@{stage.kernel.name}, &@a{place}, {', '.join(f'{count}u' for count in counts)}}}")
        first += len(stage.pointers)
    return words


def _arguments(number: int, stage: Stage) -> str:
    members = ",\n".join(f"    {_word(stage.arguments[a.name], a.kind)}" for a in stage.kernel.members)
    return f"/* {comment(stage.layer)} */\nstatic const @{stage.kernel.name}_args @a{number} = {{\n{members},\n}};\n"


def _word(word: Word, kind: str) -> str:
    if isinstance(word, Constant):
        return name_of(word)
    return number(word) if kind == "number" else f"{word}u"
