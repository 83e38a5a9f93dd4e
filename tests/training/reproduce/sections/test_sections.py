"""Every section from cells that really ran: tables beside the papers', pictures, and one page with all of them."""

from __future__ import annotations

import csv
import html
import json
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from sparsenet import load_graph
from sparsenet.graph import Graph
from sparsenet.graph.integer import integer_nodes
from tests.training.reproduce.runs import ByWeights, Run
from tests.training.reproduce.tiny import TINY, tiny
from training.pruning import Masks
from training.report.paper import STAGES
from training.reproduce import latency
from training.reproduce.plan import int8_files
from training.reproduce.published import STRUCTURED, UNSTRUCTURED

pytestmark = pytest.mark.slow
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = Run(TINY, tmp_path_factory.mktemp("run"))
    made.maskcnn()
    made.students()
    made.snip()
    made.comparison()
    made.int8()
    with pytest.MonkeyPatch.context() as patch:
        for user in ("sparsenet.latency.paired", "training.reproduce.at_once"):
            patch.setattr(f"{user}.PairedTimer", ByWeights)
        made.tradeoff()
    return made


@pytest.fixture(scope="module")
def page(run: Run) -> str:
    """The report; each file is timed in few rounds, for what the times are is not asked here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency, "FEWEST_ROUNDS", 2)
        return run.finish()


def table(run: Run, key: str) -> list[dict[str, str]]:
    with (run.folder / "tables" / f"{key}.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_tables_1_and_2_stand_beside_the_papers(run: Run, page: str) -> None:
    for key, paper in (("table1", UNSTRUCTURED), ("table2-input", STRUCTURED), ("table2-output", STRUCTURED)):
        rows = table(run, key)
        assert [float(row["ratio"]) for row in rows] == [0.0, 0.5]
        assert [float(row["paper_loss"]) for row in rows] == [paper[0.0].loss, paper[0.5].loss]
        assert [float(row["paper_accuracy"]) for row in rows] == [paper[0.0].accuracy, paper[0.5].accuracy]
        assert float(rows[1]["zeros"]) == pytest.approx(0.5, abs=0.02)
        assert int(rows[1]["bytes"]) < int(rows[0]["bytes"])
        assert all(float(row[name]) > 0 for row in rows for name in ("dense_ms", "sparse_ms"))
        assert all(
            not row["speedup"] or float(row["speedup"]) > 0 for row in rows
        )  # empty: too noisy to tell
    # Whole channels leave the network: both layers that share one lose it, so less is left than zeros alone explain.
    assert int(table(run, "table2-output")[1]["weights_left"]) < int(table(run, "table1")[1]["weights_left"])


def test_tables_3_to_5_count_compression_against_the_teachers_weights_alone(run: Run, page: str) -> None:
    teacher = table(run, "table3")[0]
    assert int(teacher["bytes"]) == 4 * int(teacher["parameters"])
    rows = table(run, "table4")
    assert [row["approach"] for row in rows] == [
        "teacher", "from scratch", "from scratch + pruning", "distilled", "distilled + pruning"
    ]  # fmt: skip
    for row, theirs in zip(rows[1:], list(STAGES["minixception-128"].values())[1:], strict=True):
        assert float(row["compression"]) == pytest.approx(int(teacher["bytes"]) / int(row["bytes"]))
        assert float(row["paper_compression"]) == theirs.compression
        assert float(row["zeros"]) == pytest.approx(0.8 if "pruning" in row["approach"] else 0.0, abs=0.01)


def test_the_counts_of_snip_are_exactly_the_papers(run: Run, page: str) -> None:
    rows = table(run, "snip-table2")
    assert [int(row["parameters"]) for row in rows] == [3_756_032, 1_187_762, 1_187_762]
    assert [row["parameters"] for row in rows] == [row["paper_parameters"] for row in rows]
    assert [int(row["context"]) for row in rows][::2] == [774_144, 774_144]
    assert [int(row["trained_parameters"]) for row in rows] == [206_080, 65_168, 65_168]
    layers = table(run, "snip-survivors")
    assert sum(int(row["weights"]) for row in layers) == 3_756_032
    for method in ("snip", "modified-snip"):
        assert sum(int(row[f"{method}_kept"]) for row in layers) == 1_187_762
    spared = [row for row in layers if ".context." in row["layer"]]
    assert sum(int(row["modified-snip_kept"]) for row in spared) == 774_144


def test_every_method_gets_the_same_budget(run: Run, page: str) -> None:
    masks = {
        method: Masks.load(run.folder / f"comparison/masks/{method}-0.8-0.safetensors")
        for method in TINY.comparison.methods
    }
    assert len({mask.nnz for mask in masks.values()}) == 1
    assert masks["snip"].sparsity == pytest.approx(0.8, abs=1e-5)
    for mask in masks.values():
        assert mask["stem.0.weight"].all()
        assert mask["blocks.0.body.1.depthwise.weight"].all()
    assert masks["snip"] != masks["random"] != masks["magnitude"]
    assert masks["rigl"].info["method"] == "rigl"
    before = Masks.load(run.folder / "comparison/masks/lottery-0.5-0.safetensors")
    assert (masks["lottery"] & before) == masks["lottery"]


def test_the_comparison_says_how_long_each_method_trained(run: Run, page: str) -> None:
    rows = {row["method"]: row for row in table(run, "comparison")}
    assert {name: int(row["epochs"]) for name, row in rows.items()} == {
        "unpruned": 1, "random": 1, "SNIP": 1, "magnitude": 2, "lottery ticket": 3, "RigL": 1
    }  # fmt: skip
    assert all(float(row["sparse_ms"]) > 0 and 0 <= float(row["accuracy"]) <= 1 for row in rows.values())
    assert all(float(row["macs"]) < 1 for name, row in rows.items() if name != "unpruned")


def test_integers_keep_the_zeros_of_a_network(run: Run, page: str) -> None:
    rows = table(run, "int8")
    assert [(row["pattern"], row["form"]) for row in rows] == [
        (pattern, form) for pattern in ("–", "1×4 blocks") for form in ("float32", "int8", "int8, trained")
    ]
    assert [float(row["zeros"]) for row in rows[3:]] == pytest.approx([0.8] * 3, abs=0.01)
    assert all(float(row["sparse_ms"]) > 0 for row in rows)
    graphs = [load_graph(run.folder / file) for file in int8_files("1x4-0.8")]
    places = [[quads(graph, name) for _, name in graph.weight_names()] for graph in graphs]
    for whole, *rounded in zip(*places, strict=True):  # what is rounded to 0 may come on top
        assert all(kept.sum() <= whole.sum() for kept in rounded)
    assert not graphs[0].quantization
    for graph in graphs[1:]:
        layers = {node.name for node, _ in graph.weight_names()}
        assert layers <= integer_nodes(graph, graph.shapes())
    assert all(kept.mean() < 0.5 for kept in places[0] if kept.shape[1] > 8)


def test_every_way_stands_in_one_picture_twice(run: Run, page: str) -> None:
    rows = table(run, "tradeoff")
    ways = ["dense", "dense", *TINY.tradeoff.at_once, "narrow-at-once", "gradual"]
    assert [row["form"] for row in rows] == ["float32", "int8"] * len(ways)
    assert [row["amount"] for row in rows[::2]] == ["×1", "×0.125", "×3", "×3", "×3", "×1.5", "90%"]
    assert all(
        float(row["lowest"]) <= float(row["macro_f1"]) <= float(row["highest"]) and float(row["ms"]) > 0
        for row in rows
    )
    assert 0.9 <= float(rows[-2]["zeros"]) < 0.99  # channels that fell out count
    assert [float(row["zeros"]) for row in rows[4:10]] == pytest.approx(
        [2 / 3] * 6, abs=0.02
    )  # a third of the time
    assert (
        int(rows[2]["bytes"]) < int(rows[0]["bytes"]) / 20
    )  # an eighth of the width is a sixtieth of the weights
    assert float(rows[10]["zeros"]) == pytest.approx(1 / 3, abs=0.03)  # of its own weights
    equal = table(run, "tradeoff-equal")
    assert [row["behind"] == "" for row in equal] == [True, False, False]


def quads(graph: Graph, name: str) -> npt.NDArray[np.bool_]:
    """Which quads of input channels of a weight hold numbers."""
    weight = graph.constants[name]
    whole = weight[:, : weight.shape[1] // 4 * 4]
    return whole.reshape(len(weight), -1, 4, *weight.shape[2:]).any(axis=2)


def test_the_page_holds_every_table_and_picture_and_fetches_nothing(run: Run, page: str) -> None:
    keys = [path.stem for path in sorted((run.folder / "tables").glob("*.csv"))]
    assert len(keys) == 11
    text = html.unescape(page)
    for key in keys:
        shown = text.split(f'<h3 id="{key}">')[1].split("</table>")[0]
        rows = table(run, key)
        assert shown.count("<tr>") == len(rows) + 1
        for row in rows:
            name, first = next(iter(row.items()))
            assert (f"{100 * float(first):.1f}" if name == "zeros" else first.removesuffix(".0")) in shown
    pictures = sorted((run.folder / "figures").glob("*.png"))
    assert page.count("data:image/png;base64,") == len(pictures) == 9
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert "http" not in page


def test_losses_are_csv_too(run: Run, page: str) -> None:
    for key in ("maskcnn-training", "students-training", "snip-loss"):
        with (run.folder / "figures" / f"{key}.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert rows
        assert all(float(row["y"]) > 0 for row in rows)


def test_the_same_cells_leave_the_same_figures(run: Run, tmp_path: Path) -> None:
    again = Run(tiny("comparison"), tmp_path)
    again.comparison("snip")
    name = "results/comparison/snip-0.8-0.json"
    assert json.loads((tmp_path / name).read_text()) == json.loads((run.folder / name).read_text())
