"""From a file name to a source network: ONNX models, and whatever a loader of another package can open.

This package may not import the training package, so trained models and mask files are opened through the entry-point
groups ``sparsenet.model_loaders`` (path → (module, info)) and ``sparsenet.mask_loaders`` (path → name → 0/1 mask).
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from converters.batch_axis import Batch
from converters.onnx_import import OnnxSource
from converters.passes.optimize import optimize
from converters.symbolic.given_sizes import open_ones
from converters.torch_import import TorchSource
from converters.verify import Source
from sparsenet.checks import one_of, path_of
from sparsenet.errors import InputError, ModelFileError
from sparsenet.graph import Graph
from sparsenet.io.model_file import is_model_file, load_graph
from sparsenet.io.networks import is_network

MODEL_LOADERS = "sparsenet.model_loaders"
MASK_LOADERS = "sparsenet.mask_loaders"
#: Metadata that a user of the model file needs beside the network: attributes of a loader's ``info``.
METADATA = ("class_names", "mean", "std")


def open_source(
    path: str | os.PathLike[str],
    masks: Mapping[str, Any] | None = None,
    image_size: tuple[int, int] | None = None,
    batch: Batch = "free",
    *,
    shapes: Mapping[str, Sequence[int | None]] | None = None,
    dims: Mapping[str, int] | None = None,
) -> Source:
    """Open an .onnx model, a trained model file or a network of the zoo.

    A model loader returns the module, for RGB images, and an ``info`` with ``input_size``, their height and width in
    pixels. What else it says of the model (see ``METADATA``) goes into the graph's metadata as JSON.

    Args:
        path: the file, or a network's name; by its suffix .onnx is ONNX, everything else goes to the model loaders.
        masks: weight name → 0/1 array, applied before conversion.
        image_size: rows and columns: those that an ONNX model leaves open (see ``from_onnx``), or others than the
            network was trained with last.
        shapes, dims: sizes that an ONNX model leaves open.
        batch: what dimension 0 of the model's tensors is (see ``from_onnx``).

    Raises:
        ModelFileError: no such file, or nobody can open it.
        InputError: a size is for another kind of model than this.
        SparsenetError: whatever the importer or the loader has to say.
    """
    one_of(batch, "batch", get_args(Batch))
    file = path_of(path, "model")
    if not is_network(file):
        _existing(file, "model")
    if file.suffix.lower() == ".onnx":
        source = OnnxSource(file, masks, batch, image_size, shapes or {}, dims or {})
        if image_size is not None and not source.takes_image_size:
            raise InputError(
                f"'{file}' leaves no rows and columns of an image open, so it takes no image size; "
                + open_ones(source.declared)
            )
        return source
    for option, given in {"a shape": shapes, "a dimension": dims}.items():
        if given:
            raise InputError(f"'{file}' is not ONNX: {option} is for ONNX models")
    module, info = _load(MODEL_LOADERS, file, "model")
    return trained_source(module, info, masks, batch, image_size)


def trained_source(
    module: Any,
    info: Any,
    masks: Mapping[str, Any] | None = None,
    batch: Batch = "free",
    image_size: tuple[int, int] | None = None,
) -> TorchSource:
    """Trace a trained module, given what a model loader returns with it (see ``open_source``)."""
    rows, columns = image_size or (info.input_size, info.input_size)
    if min(rows, columns) < 1:
        raise InputError(f"an image has at least one row and one column, not {rows}×{columns}")
    size = (2 if batch == "free" else 1, 3, rows, columns)
    example = np.random.default_rng(0).standard_normal(size, np.float32)
    metadata = {key: json.dumps(getattr(info, key)) for key in METADATA if hasattr(info, key)}
    return TorchSource(module, example, masks, metadata=metadata, batch=batch)


def open_graph(
    path: str | os.PathLike[str],
    image_size: tuple[int, int] | None = None,
    batch: Batch = "free",
    *,
    shapes: Mapping[str, Sequence[int | None]] | None = None,
    dims: Mapping[str, int] | None = None,
) -> Graph:
    """The graph in a model file, or the optimized one of whatever else ``open_source`` opens, with its arguments.

    Raises:
        InputError: a size is given for a model file.
        SparsenetError: whatever the importer or the loader has to say.
    """
    file = path_of(path, "model")
    if is_network(file) or not is_model_file(_existing(file, "model")):
        return open_source(file, None, image_size, batch, shapes=shapes, dims=dims).converted(optimize)
    if image_size or shapes or dims or batch != "free":
        raise InputError(
            f"'{file}' is a model file, which has its sizes: they are chosen when it is converted"
        )
    return load_graph(file)


def source_files(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Every file that is read when ``open_source`` opens ``path``: itself, and what an ONNX model keeps beside it."""
    file = path_of(path, "model")
    yield file
    if file.suffix.lower() == ".onnx" and os.path.isfile(file):  # noqa: PTH113 - nobody may look, nothing is read
        from converters.onnx.load import external_files

        yield from external_files(file)


def open_masks(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """Read a mask file: weight name → 0/1 mask.

    Raises:
        ModelFileError: no such file, or nobody can open it.
        MaskError: it is not a mask file.
    """
    file = _existing(path, "masks")
    masks: Mapping[str, Any] = _load(MASK_LOADERS, file, "mask")
    return masks


def _existing(path: str | os.PathLike[str], what: str) -> Path:
    """``path`` if it is a regular file; ModelFileError if not, or if nobody may look."""
    file = path_of(path, what)
    try:
        if stat.S_ISREG(file.stat().st_mode):
            return file
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise ModelFileError(f"'{file}' cannot be read: {error.strerror or error}") from None
    raise ModelFileError(f"no such file: '{file}'")


def _load(group: str, path: Path, what: str) -> Any:
    points = list(importlib.metadata.entry_points(group=group))
    if not points:
        raise ModelFileError(f"nothing installed can open the {what} file '{path}'")
    return points[0].load()(path)
