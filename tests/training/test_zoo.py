"""Networks by name: where their entry points lead, and what becomes of a name."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from torch import nn

from converters.conversion import sources
from training.models import DETECTORS, MODELS
from training.trained import open_model
from training.zoo import CLASSES

ENTRY_POINTS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"][
    "entry-points"
]


def test_every_network_of_the_zoo_has_an_entry_point() -> None:
    assert set(CLASSES) == {*MODELS, *DETECTORS}
    assert ENTRY_POINTS["sparsenet.networks"] == dict.fromkeys(CLASSES, "training.zoo:build_graph")


def test_a_name_is_opened_as_a_network_whose_activations_are_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    module, info = open_model("maskcnn")
    assert not module.training
    assert (info.model, info.class_names, info.input_size) == ("maskcnn", ("0", "1"), 124)
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(norm.running_var.min() > 0 and norm.running_mean.abs().max() > 0 for norm in norms)
    monkeypatch.setattr(sources, "is_network", lambda name: str(name) == "maskcnn")
    source = sources.open_source("maskcnn")
    assert source.graph().inputs[0].shape == (None, 3, 124, 124)
