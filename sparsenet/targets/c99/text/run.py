"""The functions of ``NAME.c`` that the caller sees."""

from __future__ import annotations

from sparsenet.targets.c99.text.names import Names

_INIT = """\
int @init(@ctx *ctx, void *arena, size_t bytes)
{{
    if (ctx == NULL || arena == NULL) {{
        return $ERROR_ARGUMENT;
    }}
    if (bytes < $ARENA_BYTES || (uintptr_t)arena % {alignment}u != 0u) {{
        return $ERROR_ARENA;
    }}
    memset(ctx, 0, sizeof *ctx);
    ctx->arena = (unsigned char *)arena;
    ctx->position = $CALLS;
    return $OK;
}}

static void @restart(@ctx *ctx)
{{
    memset(ctx->done, 0, sizeof ctx->done);
    ctx->position = 0;
}}

int @run(@ctx *ctx, {parameters})
{{
    if (ctx == NULL || ctx->arena == NULL || {missing}) {{
        return $ERROR_ARGUMENT;
    }}
{set}
    @restart(ctx);
    while (ctx->position < $CALLS) {{
        @call(ctx, @order[ctx->position++]);
    }}
    return $OK;
}}
"""

_ROWS = """
int @begin(@ctx *ctx, {parameters})
{{
    if (ctx == NULL || ctx->arena == NULL || {missing}) {{
        return $ERROR_ARGUMENT;
    }}
{set}
    @restart(ctx);
    return $OK;
}}

/* All calls up to the next one that takes a row. */
static void @proceed(@ctx *ctx)
{{
    while (ctx->position < $CALLS && @order[ctx->position] != {taker}u) {{
        @call(ctx, @order[ctx->position++]);
    }}
}}

int @push_row(@ctx *ctx, const {c_type} *row)
{{
    if (ctx == NULL || row == NULL) {{
        return $ERROR_ARGUMENT;
    }}
    if (ctx->output[0] == NULL) {{
        return $ERROR_STATE;
    }}
    ctx->input[0] = (const unsigned char *)row;
    ctx->input_row[0] = 0;
    ctx->input_channel[0] = {channel}u;
    @proceed(ctx);
    if (ctx->position < $CALLS) {{
        @call(ctx, @order[ctx->position++]);
        @proceed(ctx);
    }}
    return ctx->position == $CALLS ? $READY : $OK;
}}
"""


def functions(names: Names, alignment: int) -> str:
    """Their text."""
    plan, inputs, results = names.plan, names.inputs, names.results
    hwc = plan.options.layout == "hwc"
    taken, given = [], []
    for i, port in enumerate(inputs):
        channels, height, width = port.image
        row, channel = (channels * width, 1) if hwc and port.is_image else (width, height * width)
        taken += [
            f"    ctx->input[{i}] = (const unsigned char *){port.word};",
            f"    ctx->input_row[{i}] = {row}u * sizeof *{port.word};",
            f"    ctx->input_channel[{i}] = {channel}u;",
        ]
    given = [f"    ctx->output[{i}] = (unsigned char *){port.word};" for i, port in enumerate(results)]
    input_words = [f"const {p.c_type} *{p.word}" for p in inputs]
    result_words = [f"{p.c_type} *{p.word}" for p in results]
    text = _INIT.format(
        alignment=alignment,
        parameters=", ".join(input_words + result_words),
        missing=" || ".join(f"{p.word} == NULL" for p in [*inputs, *results]),
        set="\n".join(taken + given),
    )
    if plan.by_rows is not None:
        text += _ROWS.format(
            parameters=", ".join(result_words),
            missing=" || ".join(f"{p.word} == NULL" for p in results),
            set="\n".join(given),
            c_type=inputs[0].c_type,
            channel=1 if hwc else inputs[0].image[2],
            taker=plan.stages.index(plan.by_rows),
        )
    return text
