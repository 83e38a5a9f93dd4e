"""Maps in bytes, line by line of quads, by MVE: 16 bytes at a time. In plain C they are those of ``quads``."""

from __future__ import annotations

from sparsenet.graph.types import QUAD
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels import mve, quads
from sparsenet.targets.c99.kernels.text import block, indented, named


def body(kernel: Kernel) -> list[str]:
    """The kernel of this family, ``tail`` telling whether the last vector of a line is not full."""
    family, vectors = _BODIES[kernel.family_name]
    plain = Kernel(family, kernel.tile[: len(Kernel(family).family.tile)])
    return mve.either(indented(vectors(kernel)), quads.body(plain))


def _each_vector(kernel: Kernel, pointers: list[str], lines: list[str], result: str) -> list[str]:
    """For every ``i``, the first of four quads of the lines, of which those that are ``there`` are stored."""
    tail = kernel.parameter("tail")
    store = "vstrwq_p_u32(out + i, {}, there);" if tail else "vstrwq_u32(out + i, {});"
    return [
        "uint32_t *out = (uint32_t *)out_row;",
        "(void)y;",
        *block("for (uint32_t q = 0; q < a->channels; ++q)", [
            *pointers,
            *block("for (uint32_t i = 0; i < a->width; i += 4u)", [
                *(["const mve_pred16_t there = vctp32q(a->width - i);"] if tail else []),
                *lines,
                store.format(f"vreinterpretq_u32_u8({result})"),
            ]),
            "out += a->out_channel;",
        ]),
    ]  # fmt: skip


def _pointer(name: str, row: int) -> str:
    return f"const uint32_t *const {name} = (const uint32_t *)rows[{row}] + (size_t)q * a->{name}_channel;"


def _loaded(kernel: Kernel, name: str) -> str:
    load = f"vldrwq_z_u32({name} + i, there)" if kernel.parameter("tail") else f"vldrwq_u32({name} + i)"
    return f"vreinterpretq_u8_u32({load})"


def _table(kernel: Kernel) -> list[str]:
    lines = [f"const uint8x16_t byte = {_loaded(kernel, 'x')};"]
    return _each_vector(kernel, [_pointer("x", 0)], lines, "vldrbq_gather_offset_u8(a->table, byte)")


def _add(kernel: Kernel) -> list[str]:
    """The bytes of a channel are every fourth."""
    z, there = ("_z", ", there") if kernel.parameter("tail") else ("", "")
    lines = ["float32x4_t number[4];"]
    for j in range(QUAD):
        for name in ("x", "z"):
            bytes_of = f"vldrbq_gather_offset{z}_u32((const uint8_t *)({name} + i) + {j}, step{there})"
            far = f"vsubq_n_s32(vreinterpretq_s32_u32({bytes_of}), (int32_t)a->{name}_zero)"
            lines.append(f"const float32x4_t {name}{j} = vmulq_n_f32(vcvtq_f32_s32({far}), a->{name}_share);")
        lines.append(f"number[{j}] = vaddq_f32(x{j}, z{j});")
        if kernel.parameter("bend"):
            below = f"vcmpltq_n_f32(number[{j}], 0.0f)"
            lines.append(f"number[{j}] = vmulq_m_n_f32(number[{j}], number[{j}], a->bend, {below});")
    lines.append("const uint8x16_t byte = @nearest16(number, (int16_t)a->zero);")
    pointers = [_pointer("x", 0), _pointer("z", 1), "const uint32x4_t step = vidupq_n_u32(0, 4);"]
    low, high = (f"vdupq_n_u8((uint8_t)a->{name})" for name in ("low", "high"))
    return _each_vector(kernel, pointers, lines, f"vminq_u8(vmaxq_u8(byte, {low}), {high})")


def _max_pool(kernel: Kernel) -> list[str]:
    """The largest of a line's columns first, of rows that are there, with zeros around them; then of neighbours."""
    stride, columns, dilation, rows = (
        kernel.parameter(name) for name in ("stride", "columns", "dilation", "rows")
    )
    names = named("x", rows)
    there = "(rows[{r}] == NULL ? row : rows[{r}])"
    largest = [
        f"uint8x16_t most = vldrbq_u8({names[0]} + 4u * i);",
        *(f"most = vmaxq_u8(most, vldrbq_u8({name} + 4u * i));" for name in names[1:]),
        "vstrwq_u32(line + a->before + i, vreinterpretq_u32_u8(most));",
    ]
    pointers = [
        "const size_t above = 4u * (size_t)q * a->x_channel;",
        *(f"const uint8_t *const {x} = (const uint8_t *){there.format(r=r)} + above;" for r, x in enumerate(names)),
        *block("for (uint32_t i = 0; i < last; i += 4u)", largest),
        *block("", ["const uint32_t i = last;", *largest]),
    ]  # fmt: skip
    lines = [f"const uint32_t *const first = line + {stride}u * i;"]
    for k in range(columns):
        gathered = f"vreinterpretq_u8_u32(vldrwq_gather_shifted_offset_u32(first + {k * dilation}, step))"
        lines.append(f"most = vmaxq_u8(most, {gathered});" if k else f"uint8x16_t most = {gathered};")
    return [
        f"uint32_t *const line = (uint32_t *)rows[{rows}];",
        "const uint32_t last = a->x_width - 4u;",
        f"const uint32x4_t step = vmulq_n_u32(vidupq_n_u32(0, 1), {stride}u);",
        "const void *row = NULL;",
        *block(f"for (uint32_t r = 0; r < {rows}u; ++r)", ["row = rows[r] == NULL ? row : rows[r];"]),
        "memset(line, 0, 4u * a->length);",
        *_each_vector(kernel, pointers, lines, "most"),
    ]


_BODIES = {
    "u8x4_tablevectors_none_rows": ("u8x4_table_none_rows", _table),
    "u8x4_addvectors_none_rows": ("u8x4_add_none_rows", _add),
    "u8x4_maxpoolvectors_none_rows": ("u8x4_maxpool_none_rows", _max_pool),
}
