"""A program that proves a C library on its board: it holds inputs and the outputs that this machine computes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sparsenet.c_library.interface import Interface, Tensor
from sparsenet.graph import FloatArray

#: Inputs are (byte - 128) / 64: exact, from -2 to 2.
_MIDDLE, _STEP = 128, 64
#: How far a result may be from that of this machine, relative to the largest number of its tensor: what the order of
#: additions changes.
TOLERANCE = 1e-4


def example_inputs(interface: Interface, seed: int = 0) -> dict[str, FloatArray]:
    """Inputs of the test program by name, a batch of one."""
    rng = np.random.default_rng(seed)
    return {
        tensor.info.name: ((_bytes(tensor, rng) - np.float32(_MIDDLE)) / np.float32(_STEP))
        for tensor in interface.inputs
    }


def _bytes(tensor: Tensor, rng: np.random.Generator) -> FloatArray:
    return rng.integers(0, 256, (1, *tensor.shape)).astype(np.float32)


def check_program(
    interface: Interface, inputs: Mapping[str, FloatArray], outputs: Mapping[str, FloatArray]
) -> str:
    """The text of ``NAME_test.c``; it returns 0 if the library computes ``outputs`` of ``inputs``."""
    name, macro = interface.name, interface.macro
    lines = [
        f"/* Runs {name} on stored inputs: returns 0 if it computes the stored outputs. */",
        "#include <math.h>\n#include <stdint.h>\n#include <stdio.h>\n",
        f'#include "{name}.h"\n',
        f"static unsigned char memory[{macro}_ARENA_BYTES + {macro}_ARENA_ALIGN];",
    ]
    for tensor in interface.inputs:
        stored = inputs[tensor.info.name].reshape(-1) * _STEP + _MIDDLE
        lines += [
            f"static const unsigned char given_{tensor.name}[{tensor.macro}_SIZE] = {{",
            *_rows([str(int(number)) for number in stored]),
            f"}};\nstatic float {tensor.name}[{tensor.macro}_SIZE];",
        ]
    for tensor in interface.outputs:
        lines += [
            f"static const float expected_{tensor.name}[{tensor.macro}_SIZE] = {{",
            *_rows([_number(number) for number in outputs[tensor.info.name].reshape(-1).tolist()]),
            f"}};\nstatic float {tensor.name}[{tensor.macro}_SIZE];",
        ]
    lines.append(_CHECK)
    lines.append("int main(void) {")
    lines.append(f"  {name}_ctx ctx;")
    lines.append("  int wrong = 0;")
    lines.append(f"  unsigned char *arena = memory + (0u - (uintptr_t)memory) % {macro}_ARENA_ALIGN;")
    lines.append("  size_t i;")
    for tensor in interface.inputs:
        lines.append(
            f"  for (i = 0; i < {tensor.macro}_SIZE; i++) "
            f"{tensor.name}[i] = ((float)given_{tensor.name}[i] - {_MIDDLE}.0f) / {_STEP}.0f;"
        )
    arguments = ", ".join(tensor.name for tensor in (*interface.inputs, *interface.outputs))
    lines += [
        "  /* Bytes of NaN: nothing may depend on what the arena held. */",
        f"  for (i = 0; i < {macro}_ARENA_BYTES; i++) arena[i] = 255;",
        f"  if ({name}_init(&ctx, arena, {macro}_ARENA_BYTES) != {macro}_OK) return 2;",
        f"  if ({name}_run(&ctx, {arguments}) != {macro}_OK) return 3;",
    ]
    for tensor in interface.outputs:
        lines.append(
            f'  wrong += check("{tensor.name}", {tensor.name}, expected_{tensor.name}, {tensor.macro}_SIZE);'
        )
    lines += ["  return wrong != 0;", "}", ""]
    return "\n".join(lines)


_CHECK = f"""
static int check(const char *name, const float *got, const float *expected, size_t size) {{
  float largest = 0.0f, error = 0.0f;
  size_t i;
  for (i = 0; i < size; i++) {{
    if (isnan(expected[i])) continue; /* behind the valid elements */
    if (!isinf(expected[i]) && fabsf(expected[i]) > largest) largest = fabsf(expected[i]);
    if (got[i] == expected[i]) continue; /* infinity has no distance */
    if (!(fabsf(got[i] - expected[i]) <= error)) error = fabsf(got[i] - expected[i]);
  }}
  printf("%s: %g from what was expected, of at most %g\\n", name, (double)error, (double)largest);
  return !(error <= {TOLERANCE}f * largest);
}}
"""


def _number(value: float) -> str:
    if not np.isfinite(value):
        return "NAN" if np.isnan(value) else "INFINITY" if value > 0 else "-INFINITY"
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def _rows(numbers: list[str]) -> list[str]:
    return ["  " + ", ".join(numbers[i : i + 12]) + "," for i in range(0, len(numbers), 12)]
