"""``NAME_kernels.h``: the kernels in use, and where the constants are."""

from __future__ import annotations

from sparsenet.targets.c99.constant import Constant
from sparsenet.targets.c99.kernels import byte_helpers, conv_groups, heap, index, mve, nms
from sparsenet.targets.c99.text.literals import array, c_type, numbers
from sparsenet.targets.c99.text.names import Names
from sparsenet.text.c_names import comment

_TEXT = """\
/* Kernels of the network and its constants; only {name}.c and {name}_weights.c include this. */
#ifndef $KERNELS_H
#define $KERNELS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Where constants go: define it on the compiler's command line to put them into a section of their own. */
#ifndef $CONST
#define $CONST
#endif

/* Whether the compiler makes vectors of float32 numbers. */
#if defined(__aarch64__) || defined(__ARM_NEON) || defined(__SSE2__) || defined(__riscv_vector) || defined(__VEC__)
#define $VECTORS
#endif

/* A part of what calls it, also where the compiler is to make little code. */
#if defined(__GNUC__)
#define $INLINE __attribute__((always_inline)) static inline
#else
#define $INLINE static inline
#endif

/* x * y + sum, in one instruction where there is one. */
#if defined(FP_FAST_FMAF) || defined(__FP_FAST_FMAF)
#define $FMA(x, y, sum) fmaf((x), (y), (sum))
#else
#define $FMA(x, y, sum) ((x) * (y) + (sum))
#endif

/* The larger one; of a number and NaN it may be the number. Of Arm's floating-point units, those of version 8 have an
 * instruction for it, and those of Cortex-M with double precision. */
#if defined(__ARM_FEATURE_NUMERIC_MAXMIN) || (defined(__ARM_FP) && defined(__ARM_ARCH) && __ARM_ARCH >= 8) \
    || (defined(__ARM_ARCH_7EM__) && defined(__ARM_FP) && (__ARM_FP & 8) != 0)
#define $MAX(x, y) fmaxf((x), (y))
#else
#define $MAX(x, y) ((x) > (y) ? (x) : (y))
#endif

{constants}
#ifdef $WITH_KERNELS
{kernels}
#endif
#endif
"""

#: Helpers by the beginning of a call of them, each before those that it calls.
_HELPERS = {
    **byte_helpers.HELPERS,
    **conv_groups.HELPERS,
    **mve.HELPERS,
    **heap.HELPERS,
    **nms.HELPERS,
    **index.HELPERS,
}

_MOVE = """\
/* Moves each row that is there by some numbers. */
static void @move(const void **rows, uint32_t count, ptrdiff_t numbers)
{
    for (uint32_t r = 0; r < count; ++r) {
        if (rows[r] != NULL) {
            rows[r] = (const float *)rows[r] + numbers;
        }
    }
}
"""


def name_of(constant: Constant) -> str:
    """The array's name."""
    return f"@c{constant.number}"


def _declared(constant: Constant) -> str:
    return f"$CONST const {c_type(constant.array)} {name_of(constant)}"


def kernels(names: Names) -> str:
    """The text of the file."""
    plan = names.plan
    constants = "".join(f"extern {_declared(c)}[{c.flat.size}];\n" for c in plan.constants)
    found = "\n".join(kernel.source() for kernel in plan.kernels)
    for call, helper in _HELPERS.items():
        if call in found:
            found = f"{helper}\n{found}"
    if "@move(" in found:
        found = f"{_MOVE}\n{found}"
    return names.fill(_TEXT.format(name=names.name, constants=constants, kernels=found))


def weights(names: Names) -> str:
    """The text of ``NAME_weights.c``."""
    parts = [f'/* Weights and tables. */\n#include "{names.name}_kernels.h"\n']
    layer = None
    for constant in names.plan.constants:
        if constant.layer != layer:
            layer = constant.layer
            parts.append(f"\n/* {comment(layer)} */\n")
        parts.append(array(names.fill(_declared(constant)), numbers(constant.flat)))
    return "".join(parts)
