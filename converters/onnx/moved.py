"""An ONNX node on samples as decisions about the batch see it (see ``batch_axis``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from converters import batch_axis
from converters.batch_axis import Place, Sample
from converters.builder import Act, Const, Site, Unsupported, Value
from converters.decompose.shapes import BATCH_HINT
from converters.onnx.call import Call, Rule
from converters.quantized import Quantized
from converters.symbolic.sizes import THE_BATCH, Sizes


@dataclass(frozen=True)
class QuantizedSample(Sample):
    """A sample that the source network has as bytes, those of ``whole``, which has the batch in front."""

    whole: Quantized = field(kw_only=True)


@dataclass(frozen=True)
class Moved:
    """A node on samples: what the rules see of it, its inputs as the model has them, the batch it was exported with."""

    op: str
    rule: Rule
    call: Call
    given: Sequence[Value | Sizes | None]
    batch: int | None

    @property
    def x(self) -> Sample:
        """The first sample among the inputs."""
        return next(v for v in self.given if isinstance(v, Sample))

    @property
    def place(self) -> Place:
        """The place of the batch in ``x``."""
        place = self.x.place
        assert place is not None
        return place

    @property
    def shape(self) -> list[int]:
        """Shape of ``x`` in the model, with the batch counted as one."""
        return self.shape_of(self.x)

    @property
    def rank(self) -> int:
        """Dimensions of ``x`` in the model."""
        return len(self.shape)

    def shape_of(self, value: Value) -> list[int]:
        """Shape of an operand in the model, with the batch counted as one."""
        return [int(d or 0) for d in self.call.shape_of(value)]

    def axis(self, default: int) -> int:
        """The attribute "axis", counted from the front."""
        return int(self.call.attrs.get("axis", default)) % self.rank

    def operands(self) -> list[Value]:
        """Inputs that are there; a size that depends on the batch cannot be among them."""
        if any(isinstance(v, Sizes) for v in self.given):
            raise Unsupported("a number it needs depends on the batch size")
        return [v for v in self.given if isinstance(v, Act | Const)]

    def numbers(self, index: int, attribute: str, before: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Integers of an attribute or input: those for one image, and how many times the batch they are."""
        value: Any = self.call.attrs.get(attribute) if self.call.opset < before else self.call.get(index)
        given = self.given[index] if index < len(self.given) else None
        if isinstance(given, Sizes) and self.call.opset >= before:
            slope = given.slopes[THE_BATCH].ravel()
            return given.base.ravel() + slope, slope
        if value is None:
            return None
        if isinstance(value, Act | Sizes):
            raise Unsupported("its parameters are computed from the input's values")
        flat = np.asarray(value.array if isinstance(value, Const) else value).ravel().astype(np.int64)
        return flat, np.zeros_like(flat)

    def constants(self, index: int, attribute: str, before: int) -> list[int] | None:
        """Integers of an attribute or input, none of which may depend on the batch."""
        found = self.numbers(index, attribute, before)
        if found is not None and found[1].any():
            raise Unsupported("a number it needs depends on the batch size")
        return None if found is None else [int(v) for v in found[0]]

    def batches(self, number: int, slope: int) -> int:
        """How many batches a number along the batch's axis is; Unsupported if it is not a whole number of them."""
        if slope == number:
            return number
        if slope or not self.batch or number % self.batch:
            raise Unsupported(BATCH_HINT)
        return number // self.batch

    def inner(self, place: Place | None) -> Call:
        """The call whose results ``made`` takes."""
        if not batch_axis.is_plain(place):
            return self.call
        outputs = [f"{name}.sample" if name else "" for name in self.call.outputs]
        return replace(self.call, site=self.call.site.sub("sample"), outputs=outputs)

    def made(self, x: Act, place: Place | None, index: int = 0) -> Act:
        """A result as a sample, or as the graph's own tensor if the batch is in front."""
        if isinstance(x, Quantized):
            return QuantizedSample(x.tensor, place, whole=x)
        sample = Sample(x.tensor, place)
        site = Site(self.call.site.name, self.call.outputs[index])
        return batch_axis.plain(self.call.b, site, sample) if batch_axis.is_plain(place) else sample

    def apply(self, place: Place | None) -> list[Any]:
        """Apply the operator's own rule."""
        made = self.rule(self.inner(place))
        values: Sequence[Any] = list(made) if isinstance(made, Sequence) else [made]
        return [self.made(v, place, i) if isinstance(v, Act) else v for i, v in enumerate(values)]


def places_of(values: Sequence[Value]) -> list[Place | None]:
    """The places of the batch in operands; None for those that have none."""
    return [value.place if isinstance(value, Sample) else None for value in values]
