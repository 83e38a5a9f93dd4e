"""One trace for each kind of network, graphs as if each had been traced."""

from __future__ import annotations

from typing import Any

import pytest

import converters.torch.source
from training.checkpoint import ModelInfo
from training.models import build_model
from training.traces import Traces


def test_networks_of_one_kind_are_traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    traced = []
    export = converters.torch.source.export

    def counted(*arguments: Any) -> Any:
        traced.append(arguments)
        return export(*arguments)

    monkeypatch.setattr(converters.torch.source, "export", counted)
    traces = Traces()
    for classes, seed, so_far in (("a", "b"), 0, 1), (("a", "b"), 1, 1), (("a", "b", "c"), 0, 2):
        model = build_model("minixception-128", len(classes), seed).eval()
        graph = traces.graph(model, ModelInfo("minixception-128", classes, 32, seed=seed))
        assert len(traced) == so_far
        head = graph.nodes[-1].inputs[1]
        assert len(graph.constants[head]) == len(classes)
    assert graph.metadata["class_names"] == '["a", "b", "c"]'
