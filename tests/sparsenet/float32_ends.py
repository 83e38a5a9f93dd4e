"""Numbers at the ends of float32 and of what its functions can hold, and how far results may be from float64."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sparsenet.reference.activations import FUNCTIONS

DOCUMENT = Path(__file__).parents[2] / "docs" / "kernels.md"
PARAMETERS = {"leaky_relu": {"slope": 0.2}, "clip": {"min": -0.5, "max": 1.0}, "elu": {"alpha": 0.7}}

LEAST, LEAST_NORMAL, LARGEST = 2.0**-149, 2.0**-126, float(np.finfo(np.float32).max)
#: Where a function's result becomes 0, denormal, infinite or 1, where series take over from each other, and powers of
#: two whose squares, reciprocals or fractions end there.
THRESHOLDS = (
    0.0, LEAST, LEAST_NORMAL, 2 * LEAST_NORMAL, 0.1, 0.25, 0.34657359, 0.5, 2**-0.5, 1.0, 2**0.5, 2.0, 3.0, 9.0,
    16.6355, 87.0, 87.33655, 88.0, 88.3762626, 88.722839, 88.8, 103.27893, 103.97208, 176.0,
    2.0**22, 2.0**23, 2.0**24, 2.0**31,
    2.0**63, 2.0**64, 2.0**126, 2.0**127, 2.0**128 / 6, LARGEST,
)  # fmt: skip


def around(value: float, reach: int) -> npt.NDArray[np.float32]:
    """The float32 at ``value`` and ``reach`` neighbours on both sides, from 0 to infinity at most."""
    bits = int(np.float32(value).view(np.int32)) + np.arange(-reach, reach + 1)
    return bits[(bits >= 0) & (bits <= 0x7F800000)].astype(np.int32).view(np.float32)


@cache
def numbers(reach: int, step: int) -> npt.NDArray[np.float32]:
    """``reach`` neighbours of every threshold, every ``step``-th float32, infinities, NaN: both signs, shape (n,)."""
    sweep = np.arange(0, 0x7F800000, step, dtype=np.int32).view(np.float32)
    positive = np.concatenate([*(around(value, reach) for value in THRESHOLDS), sweep, [np.float32(np.inf)]])
    return np.concatenate([positive, -positive, [np.float32(np.nan)]])


@cache
def exact(word: str, reach: int, step: int) -> npt.NDArray[np.float64]:
    """The activation ``word`` of ``numbers(reach, step)`` in float64."""
    parameters = [np.float64(np.float32(value)) for value in PARAMETERS.get(word, {}).values()]
    with np.errstate(all="ignore"):
        return FUNCTIONS[word](numbers(reach, step).astype(np.float64), *parameters)


def stated_bounds() -> dict[str, tuple[float, float]]:
    """Function → (units in the last place, share of max(1, abs x)) of its error, from the table in docs/kernels.md."""
    row = re.compile(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.e-]+) \|$", re.MULTILINE)
    text = DOCUMENT.read_text(encoding="utf-8").split("<!-- precision -->")[1]
    return {word: (float(ulps), float(share)) for word, ulps, share in row.findall(text)}


def assert_close(
    got: npt.NDArray[np.float32],
    want: npt.NDArray[np.float64],
    bound: tuple[float, float],
    x: npt.NDArray[np.float32],
) -> None:
    """``got`` is NaN where ``want`` is, and elsewhere within ``bound`` of it; infinity counts as 2**128."""
    with np.errstate(all="ignore"):
        rounded = want.astype(np.float32)
        unit = np.ldexp(1.0, np.frexp(np.clip(np.abs(want), LEAST_NORMAL, LARGEST))[1] - 24)
        size = np.clip(np.nan_to_num(np.abs(x.astype(np.float64)), nan=1), 1, LARGEST)
        limit = bound[0] * unit + bound[1] * size
        edge = 2.0**128
        error = np.abs(np.clip(got.astype(np.float64), -edge, edge) - np.clip(want, -edge, edge))
    wrong = np.where(np.isnan(want), ~np.isnan(got), ~(error <= limit))
    assert not wrong.any(), (
        f"{wrong.sum()} wrong; at {x[wrong][:5]}: {got[wrong][:5]}, not {rounded[wrong][:5]}"
    )
