"""How convolutions store a tile of results: as pixels of their row, or as their mean over the map."""

from __future__ import annotations

from collections.abc import Sequence

from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.text import block


def _mean(kernel: Kernel) -> int | None:
    return kernel.fused.index("mean") if "mean" in kernel.fused else None


def around(kernel: Kernel, lines: list[str]) -> list[str]:
    """All of the function, of which ``lines`` make the results."""
    step = _mean(kernel)
    if step is None:
        return ["(void)y;", *lines]
    every = "for (uint32_t c = 0; c < a->c_out; ++c)"
    return [
        *block("if (y == 0u)", block(every, ["((float *)out_row)[c] = 0.0f;"])),
        *lines,
        *block(
            f"if (y + 1u == a->rows_{step})", block(every, [f"((float *)out_row)[c] *= a->share_{step};"])
        ),
    ]


def opened(kernel: Kernel) -> list[str]:
    """The pointer to where the results of channel 0 go."""
    return [
        "float *out = (float *)out_row;"
        if _mean(kernel) is not None
        else "float *out = (float *)out_row + x0;"
    ]


def at_channel(kernel: Kernel, channel: str) -> list[str]:
    """The pointer to where the results of one channel go."""
    if _mean(kernel) is not None:
        return [f"float *out = (float *)out_row + {channel};"]
    return [f"float *out = (float *)out_row + x0 + (size_t){channel} * a->out_channel;"]


def stored(kernel: Kernel, sums: Sequence[str]) -> list[str]:
    """Store the results of a channel, and move on to the next."""
    if _mean(kernel) is not None:
        return [f"*out++ += {' + '.join(sums)};"]
    return [*(f"out[{t}] = {s};" for t, s in enumerate(sums)), "out += a->out_channel;"]


def scaled(in_bytes: bool, sums: Sequence[str], channel: str) -> list[str]:
    """Multiply sums of weights in bytes by the scale of their channel; the bias they began with was divided by it."""
    if not in_bytes:
        return []
    return [f"const float scale = a->scale[{channel}];", *(f"{s} *= scale;" for s in sums)]
