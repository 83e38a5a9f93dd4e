"""How engines, profiles and explanations show themselves, names of any origin included."""

from __future__ import annotations

import numpy as np

from sparsenet import Engine
from sparsenet.graph import Graph, Node, TensorInfo

NAME = "<script>x</script>"


def test_one_line_a_table_and_html() -> None:
    graph = Graph(NAME, [TensorInfo(NAME, (None, 4))], ["y"], [Node("relu", f"{NAME}\n", [NAME], ["y"])])
    engine = Engine(graph, backend="numpy")
    x = np.zeros((1, 4), np.float32)
    for shown, line in (
        (engine, "<Engine: "),
        (engine.explain(), "<Decisions: 1 layers"),
        (engine.profile(x, runs=2), "<Profile: 1 layers"),
    ):
        assert repr(shown).startswith(line)
        assert "\n" not in repr(shown)
        header, rule, *rows = str(shown).splitlines()
        assert set(rule) == {"-", " "}
        assert NAME in "".join(rows)
        html = shown._repr_html_()
        assert "<script>" not in html
        assert "&lt;script&gt;" in html
        assert html.count("<tr>") == 1 + len(rows)
        assert header.split()[-1] in html
