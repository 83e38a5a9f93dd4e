"""ONNX model → Graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from converters.batch_axis import Batch, Layout
from converters.onnx.load import OnnxLike, load_model
from converters.onnx.model import (
    FLOAT_TYPES,
    INPUT_TYPES,
    TRUTH_TYPE,
    common_batch,
    declared,
    input_shape,
    inputs_of,
    mask_initializer,
    opset_of,
)
from converters.onnx.run import run
from converters.onnx.sized_model import SizedModel
from converters.onnx.walk import Walk
from converters.onnx.wide import run_exactly
from converters.quantized import Quantized
from converters.symbolic.given_sizes import GivenSizes, enlarged, image_axes, open_places, with_batch_of_one
from converters.symbolic.open_sizes import open_sizes
from sparsenet.checks import flag, one_of, shown
from sparsenet.errors import MaskError
from sparsenet.graph import Graph

if TYPE_CHECKING:
    import onnx

#: onnx.TensorProto's UINT8 and INT8, as quantized weights have them.
BYTES = (2, 3)
#: (model, names of outputs, inputs) -> the outputs.
Run = Callable[["onnx.ModelProto", list[str], Mapping[str, np.ndarray]], list[np.ndarray]]


def from_onnx(
    model: OnnxLike,
    *,
    optimize: bool = True,
    masks: Mapping[str, Any] | None = None,
    batch: Batch = "free",
    image_size: tuple[int, int] | None = None,
    shapes: Mapping[str, Sequence[int | None]] | None = None,
    dims: Mapping[str, int] | None = None,
) -> Graph:
    """Convert an ONNX model to a Graph. Tensors and nodes keep their ONNX names; every weight becomes float32.

    Dimension 0 is the batch, which is free in the graph even if the model fixed it. Every other dimension that the
    model leaves open needs a size, given by ``shapes``, ``dims`` or ``image_size``. It stays open in the graph where no
    node is bound to it (``graph.inputs[i].open`` tells): an engine plans any other size when it first meets it.

    Integers and truth values, of inputs as between nodes, are float32 numbers: exact up to 2**24, and without the
    wrap-around of narrow types.

    Args:
        model: a path, the bytes of a file, or an ``onnx.ModelProto``. Opsets 7 to 28.
        optimize: run every exact pass (folding and fusion; see ``converters.passes``).
        masks: initializer name → 0/1 array of its shape; the weights where it is 0 become 0.
        batch: "free": dimension 0 of the inputs is the batch, of any size. "fixed": it is a dimension like any other,
            of size 1 where nothing says otherwise, for models that work across it; a tensor of the model is then one
            sample of the graph, which has its own batch in front: a model's input (1, 3, 224, 224) is the graph's
            (N, 1, 3, 224, 224).
        image_size: rows and columns of images, (N, C, H, W) or (N, H, W, C), that leave them open. They must stay open:
            it is an error if a node is bound to them.
        shapes: input name → sizes of all its dimensions, as in {"input": (1, 3, 480, 640)}; None for one that ``dims``
            gives, or the batch.
        dims: name of an open dimension → size, as in {"T": 160}. A batch given by either is what the model's shape
            computations may take it for; it stays free, or is the number itself with ``batch`` "fixed".

    Raises:
        UnsupportedOpError: lists every node without a counterpart, by name, with a hint; or the opset is not known; or
            ``image_size`` is to stay open, but a node is bound to it.
        ModelFileError: the file is not an ONNX model, is damaged, or its external data leaves its folder.
        InputError: an input has a type that is not supported, a dimension is left open, or a size that is given does
            not fit the model; the message says what to give.
        MaskError: a mask fits no initializer or holds other values than 0 and 1.
        MemoryLimitError: weights or tensors would take more than ``limits.memory_limit``.
        MissingExtraError: onnx is not installed.
    """
    from converters import passes

    flag(optimize, "optimize")
    one_of(batch, "batch", get_args(Batch))
    shapes, dims = {} if shapes is None else shapes, {} if dims is None else dims
    source = OnnxSource(model, masks, batch, image_size, shapes, dims)
    return source.converted(passes.optimize if optimize else Graph.copy)


@dataclass
class OnnxSource:
    """A loaded ONNX model: gives its Graph, and its own value of every tensor for comparison."""

    model: OnnxLike
    masks: Mapping[str, Any] | None = None
    batch: Batch = "free"
    image_size: tuple[int, int] | None = None
    shapes: Mapping[str, Sequence[int | None]] = field(default_factory=dict)
    dims: Mapping[str, int] = field(default_factory=dict)
    value_names: dict[str, str] = field(default_factory=dict, init=False)
    layouts: dict[str, Layout] = field(default_factory=dict, init=False)
    as_bytes: dict[str, Quantized] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.proto, self.name = load_model(self.model)
        opset = opset_of(self.proto, self.name)
        masks = {} if self.masks is None else self.masks
        if not isinstance(masks, Mapping):
            raise MaskError(f"masks must map names of initializers to masks, got {shown(masks)}")
        for name, mask in masks.items():
            mask_initializer(self.proto.graph, name, _mask(name, mask))
        given, infos = GivenSizes(self.shapes, self.dims, self.image_size), inputs_of(self.proto.graph)
        self.declared = [declared(info, len(given.shapes.get(info.name, ()))) for info in infos]
        sizes = given.settle(self.name, self.declared)
        if self.lead:
            sizes = {name: with_batch_of_one(known) for name, known in sizes.items()}
        self._sized = SizedModel(self.proto, self.name, opset, self.lead, sizes)

    @property
    def lead(self) -> int:
        """Dimensions of the graph's tensors in front of the model's."""
        return 1 if self.batch == "fixed" else 0

    @property
    def takes_image_size(self) -> bool:
        """Whether an image input leaves its rows or columns open."""
        images = [one for one in self.declared if len(one.dims) == 4]
        return any(isinstance(one.dims[axis], str) for one in images for axis in image_axes(one))

    @property
    def weight_bytes(self) -> int:
        """Bytes of the model's weights, stored as dense float32: its float initializers, and those in 8 bits."""
        count = sum(int(np.prod(t.dims)) for t in self.proto.graph.initializer if _is_weight(t))
        return 4 * (count + sum(int(np.prod(t.dims)) for t in self.proto.graph.sparse_initializer))

    def example(self) -> dict[str, np.ndarray]:
        """Seeded standard-normal inputs by name, with the model's batch or 1."""
        rng = np.random.default_rng(0)
        infos = inputs_of(self.proto.graph)
        shapes = {info.name: input_shape(info, self._sized.sizes[info.name], self.lead) for info in infos}
        batch = 1 if self.lead else common_batch(self._sized.sizes) or 1
        sizes = {name: [batch, *(int(d or 0) for d in shape[1:])] for name, shape in shapes.items()}
        values = {name: rng.standard_normal(size).astype(np.float32) for name, size in sizes.items()}
        for info in infos:
            if info.type.tensor_type.elem_type not in FLOAT_TYPES:
                most = 1 if info.type.tensor_type.elem_type == TRUTH_TYPE else np.inf
                values[info.name] = np.abs(np.rint(values[info.name])).clip(max=most)
        return values

    def graph(self) -> Graph:
        """The network as it is written, before any pass, at the sizes that were given."""
        walk = Walk(self._sized)
        graph, self.value_names = walk.run()
        self.layouts, self.as_bytes = walk.layouts, walk.as_bytes
        return graph

    def converted(self, finish: Callable[[Graph], Graph]) -> Graph:
        """``finish`` of the graph, with the sizes that the model leaves open still open, where no node is bound to one.

        Raises:
            UnsupportedOpError: ``image_size`` was given, and a node is bound to it.
        """
        graph = finish(self.graph())
        places = open_places(self.declared)

        def at(more: Mapping[str, int]) -> Graph:
            sizes = enlarged(
                self._sized.sizes, {place: more[name] for name in more for place in places[name]}
            )
            return finish(Walk(replace(self._sized, sizes=sizes)).run()[0])

        return open_sizes(graph, list(places), at, all_of_them=self.image_size is not None)

    def known_outputs(self) -> dict[str, np.ndarray]:
        """Outputs that are the same whatever the model is fed: shapes, for instance. No graph can have them."""
        return Walk(self._sized).known_outputs()

    def values(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Values of every tensor of ``graph()`` by onnxruntime (or, without it, onnx's reference evaluator)."""
        return self._computed(inputs, run)

    def exact(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """Values of every tensor by onnx's reference evaluator in float64; None if that cannot run the model so."""
        try:
            return self._computed(inputs, run_exactly)
        except MemoryError:
            raise
        except Exception:  # whatever an operator of the evaluator dislikes
            return None

    def _computed(self, inputs: Mapping[str, np.ndarray], run: Run) -> dict[str, np.ndarray]:
        import onnx

        exposed = onnx.ModelProto()
        exposed.CopyFrom(self.proto)
        present = {o.name for o in exposed.graph.output}
        wanted = sorted(set(self.value_names.values()))
        exposed.graph.output.extend(onnx.ValueInfoProto(name=n) for n in wanted if n not in present)
        types = {i.name: INPUT_TYPES[i.type.tensor_type.elem_type] for i in inputs_of(self.proto.graph)}
        arrays = {name: np.asarray(inputs[name]) for name in types}
        feeds: dict[str, np.ndarray] = {
            n: (a[0] if self.lead else a).astype(types[n]) for n, a in arrays.items()
        }
        results = dict(zip(wanted, map(_as_float, run(exposed, wanted, feeds)), strict=True))
        values = {t: results[name] for t, name in self.value_names.items()}
        values |= {t: grid.numbers(values[t]) for t, grid in self.as_bytes.items()}
        if self.lead:
            return {t: value[None] for t, value in values.items()}
        batch = min(len(array) for array in arrays.values())
        return {t: self.layouts[t].of(v, batch) if t in self.layouts else v for t, v in values.items()}


def _is_weight(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type in FLOAT_TYPES or (tensor.data_type in BYTES and len(tensor.dims) > 1)


def _mask(name: str, given: Any) -> np.ndarray:
    try:
        return np.asarray(given)
    except (TypeError, ValueError):
        raise MaskError(f"mask '{name}' must be an array of 0 and 1, got {shown(given)}") from None


def _as_float(value: Any) -> np.ndarray:
    """A framework's result as floats: of their own type if NumPy knows it, integers and truth values as float32."""
    array = np.asarray(value)
    return array if array.dtype in (np.float16, np.float32, np.float64) else array.astype(np.float32)
