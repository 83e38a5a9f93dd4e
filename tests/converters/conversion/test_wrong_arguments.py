"""``convert``, ``verify`` and what opens sources with wrong arguments, one at a time; nothing is written."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from converters.conversion.pipeline import convert
from converters.conversion.sources import open_masks, open_source
from converters.onnx_import import from_onnx
from converters.torch_import import TorchSource, from_torch
from converters.verify import verify
from tests.converters.onnx.models import model, node
from tests.wrong_values import Argument, holds, table

X = np.zeros((1, 3, 8, 8), np.float32)
MODEL = model([node("Relu", "x", "y")], {})
OUTPUT = Path("/proc/none/x")  # no file can be written there


@cache
def source() -> TorchSource:
    return TorchSource(nn.Sequential(nn.Conv2d(3, 4, 3)).eval(), X)


GRAPH = source().graph()


def converted(**wrong: Any) -> object:
    return convert(**{"source": source(), "output": OUTPUT, "measure_speed": False, **wrong})


def verified(**wrong: Any) -> object:
    return verify(**{"graph": GRAPH, "source": source(), **wrong})


def module(**wrong: Any) -> object:
    return from_torch(
        **{
            "module": nn.Sequential(nn.Conv2d(3, 4, 3)).eval(),
            "example_inputs": torch.zeros(1, 3, 8, 8),
            **wrong,
        }
    )


ARGUMENTS = {
    **{f"convert.{name}": Argument(lambda v, name=name: converted(**{name: v})) for name in (
        "source", "values", "reduce", "verify_layers", "measure_speed", "threads", "tolerance",
    )},
    "convert.output": Argument(lambda v: converted(output=OUTPUT / v if isinstance(v, str) else v)),
    "verify.graph": Argument(lambda v: verified(graph=v)),
    "verify.source": Argument(lambda v: verified(source=v)),
    "verify.inputs": Argument(lambda v: verified(inputs=v), "None, dict"),
    "verify.kept": Argument(lambda v: verified(kept=v), "None, dict"),
    "verify.tolerance": Argument(lambda v: verified(tolerance=v), "0.5, 1, 10**30"),
    "verify.threads": Argument(lambda v: verified(threads=v), "None, 1"),
    "open_source.path": Argument(open_source),
    "open_source.batch": Argument(lambda v: open_source("no.onnx", batch=v)),
    "open_masks.path": Argument(open_masks),
    "from_onnx.model": Argument(from_onnx),
    **{f"from_onnx.{name}": Argument(lambda v, name=name: from_onnx(MODEL, **{name: v}), takes) for name, takes in {
        "optimize": "True", "masks": "None, dict", "batch": "", "image_size": "None", "shapes": "None, dict",
        "dims": "None, dict",
    }.items()},
    **{f"from_torch.{name}": Argument(lambda v, name=name: module(**{name: v}), takes) for name, takes in {
        "module": "", "example_inputs": "", "optimize": "True", "masks": "None, dict", "batch": "",
        "name": "None, text, empty text",
    }.items()},
}  # fmt: skip


@table(ARGUMENTS)
def test_one_wrong_argument(argument: Argument) -> None:
    assert not holds(argument)
