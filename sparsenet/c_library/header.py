"""The header of a C library: C99 and C++."""

from __future__ import annotations

from sparsenet.c_library.interface import Interface, Tensor
from sparsenet.c_library.program import ALIGNMENT, STATUS
from sparsenet.text.c_names import comment


def header(interface: Interface) -> str:
    """The text of ``NAME.h``."""
    name, macro = interface.name, interface.macro
    notes = "".join(f"\n   {comment(note)}" for note in interface.notes)
    sizes = "\n".join(_sizes(tensor) for tensor in (*interface.inputs, *interface.outputs))
    statuses = "\n".join(
        f"#define {macro}_{status.upper()} {f'({value})' if value < 0 else value}  /* {_MEANING[status]} */"
        for status, value in STATUS.items()
    )
    return f"""/* {comment(interface.title)}
   Float32 numbers in C order, one image at a time. No function allocates memory or has a state of its own.{notes} */
#ifndef {macro}_H
#define {macro}_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {{
#endif

/* Working memory of a run. */
#define {macro}_ARENA_BYTES {interface.arena_bytes}u
#define {macro}_ARENA_ALIGN {ALIGNMENT}u

{sizes}

{statuses}

/* One for each run that may happen at the same time as others; its fields belong to the library. */
typedef struct {name}_ctx {{
  void *arena;
}} {name}_ctx;

/* Gives a context its memory: {macro}_ARENA_BYTES or more, aligned to {macro}_ARENA_ALIGN, of any content. It must
   stay until the last run. */
int {name}_init({name}_ctx *ctx, void *arena, size_t bytes);

/* Computes all outputs. Arrays must not overlap each other or the arena. */
int {name}_run({", ".join(parameters(interface))});

#ifdef __cplusplus
}}
#endif

#endif
"""


def parameters(interface: Interface) -> list[str]:
    """The declarations of the parameters of ``run``."""
    inputs = [f"const float *{tensor.name}" for tensor in interface.inputs]
    return [f"{interface.name}_ctx *ctx", *inputs, *(f"float *{tensor.name}" for tensor in interface.outputs)]


_MEANING = {
    "ok": "done",
    "error_argument": "a null pointer",
    "error_arena": "the arena is too small, or not aligned",
    "error_state": "the context was not initialized",
}


def _sizes(tensor: Tensor) -> str:
    shape = " x ".join(map(str, tensor.shape)) or "1"
    valid = (
        f", of which the first {tensor.counted_by} along axis {axis - 1} are valid"
        if (axis := tensor.info.partial.axis if tensor.info.partial else 0)
        else ""
    )
    return f"/* {comment(tensor.info.name)}: {shape}{valid} */\n#define {tensor.macro}_SIZE {tensor.size}u"
