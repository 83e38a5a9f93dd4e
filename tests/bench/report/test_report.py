"""The page: complete, self-contained, drawn from what was measured; steps are kept, stale ones measured anew."""

from __future__ import annotations

import html.parser
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.kernels.rates import Rate
from bench.model.layers import Layer
from bench.model.results import Result
from bench.report import data as steps
from bench.report.data import Data, Plan, gather
from bench.report.derived import atlas, break_even, geometric_mean
from bench.report.page import render_page, save_page
from sparsenet.errors import SparsenetError
from tests.sparsenet.sample_graphs import tiny_graph

PLAN = Plan(("tiny", "<other>"), (0.0, 0.5, 0.9), (1, 2), ("ours", "dense", "ort"))


def result(engine: str, sparsity: float, threads: int, speedup: float) -> Result:
    return Result(
        engine, sparsity, "1x1", sparsity, threads, 1, 100.0, 10.0, 1.0, 10.0 * speedup / threads, 9.0, 11.0, 12.0,
        9.5, 10.5, 13.0, speedup, 0.9 * speedup, 1.1 * speedup, False, 2.0, 1.9, 2.1, 5.0, 6.0, 7.0,
        1e-7, None, "cpu", 20, 3,
    )  # fmt: skip


def rate(family: str, layer: str, density: float | None, ms: float, gflops: float | None = 50.0) -> Rate:
    return Rate(family, layer, density, 16, f"{family}__cpu_v16_1x4", 10, ms, gflops, 20.0, 0.4, 120.0)


RATES = [
    rate("f32_conv_dense_rows", "one", 1.0, 4.0, 150.0),
    rate("f32_conv_blocked_rows", "one", 1.0, 3.0, 160.0),
    rate("f32_conv_pattern_rows", "one", 0.5, 3.5),
    rate("f32_conv_pattern_rows", "one", 0.1, 0.75),
    rate("f32_conv_csr_rows", "one", 0.1, 1.0),
    rate("f32_copy_none_rows", "relu", None, 0.1, None),
]


@pytest.fixture
def data() -> Data:
    found = Data(PLAN, {"cpu": "a <b>CPU</b>", "lanes": "16", "commit": "abc"}, rates=RATES)
    for model in PLAN.models:
        found.results[model] = [
            result(engine, s, t, 1.0 if engine == "ours" else 0.8 + 3 * s)
            for engine in PLAN.engines
            for s in PLAN.sparsities
            for t in PLAN.threads
        ]
        found.layers[model] = [
            Layer(0.9, 1, "conv", "conv2d", 10, 0.1, 2.0, 1.0, 2.0, 40.0, "f32_k", 10, 0, False)
        ]
    speedups = [{"model": "tiny", "engine": "dense", "sparsity": 0.9, "threads": 1, "speedup": 3.0}]
    found.history = [{"commit": c, "cpu": "x", "speedups": speedups} for c in ("abc", "def")]
    return found


class Links(html.parser.HTMLParser):
    """Collects whatever a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attributes if name in ("src", "href", "srcset") and value]


def test_what_was_too_noisy_to_tell_is_said_and_left_out(data: Data) -> None:
    for model in PLAN.models:
        data.results[model] = [
            replace(r, speedup=None, speedup_low=None, speedup_high=None, too_noisy=True)
            if (r.engine, r.threads) == ("ort", 1) else r
            for r in data.results[model]
        ]  # fmt: skip
    page = render_page(data)
    assert page.count("too noisy to tell") == len(PLAN.models) * (len(PLAN.sparsities) + 1)  # and what pays
    assert "as fast as ours, dense" in page
    assert "as fast as ONNX Runtime" not in page
    first = data.results[PLAN.models[0]]
    data.results[PLAN.models[0]] = [replace(r, speedup_at_least=1.59) if r.too_noisy else r for r in first]
    assert "noisy: at least 1.5×" in render_page(data)


def test_nothing_is_fetched_and_nothing_runs(data: Data) -> None:
    page = render_page(data)
    links = Links()
    links.feed(page)
    assert len(links.found) == 5
    assert all(link.startswith("data:image/svg+xml;base64,") for link in links.found)
    assert "<script" not in page
    assert "url(" not in page


def test_what_comes_from_outside_is_escaped(data: Data) -> None:
    page = render_page(data)
    assert "a &lt;b&gt;CPU&lt;/b&gt;" in page
    assert "&lt;other&gt;" in page
    assert "<other>" not in page


def test_every_time_and_ratio_is_in_the_table(data: Data) -> None:
    page = render_page(data)
    assert page.count("3.50× (3.15–3.85)") == 2 * 2 * 2  # at 90 %: models, engines, thread counts
    assert "5.25 ms" not in page
    assert "3.50×</b>" in page  # the headline: geometric mean of the networks at the highest sparsity


def test_the_same_data_is_the_same_page(data: Data) -> None:
    assert render_page(data) == render_page(data)


@pytest.mark.slow
def test_a_browser_shows_the_pictures(data: Data, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no chromium on PATH")
    save_page(data, tmp_path / "report.html")
    picture = tmp_path / "page.png"
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,4000"]
    command = [browser, *words, f"--screenshot={picture}", (tmp_path / "report.html").as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120, cwd=tmp_path)
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"))
    drawn = (pixels != pixels[0, 0]).any(axis=2).mean(axis=1)
    assert pixels.shape[:2] == (4000, 1200)
    for colour in ((0, 158, 115), (0, 114, 178)):  # the lines of the first pictures
        assert (np.abs(pixels.astype(int) - colour).max(axis=2) < 12).sum() > 200, colour
    assert (drawn > 0.3).sum() > 800  # pictures and tables, not an empty page


@pytest.mark.parametrize(
    "points, expected",
    [
        ([(0.0, 0.5), (0.5, 2.0)], 0.25),
        ([(0.0, 1.2), (0.5, 2.0)], 0.0),
        ([(0.0, 0.5), (0.5, 0.9)], None),
        ([(0.0, 1.1), (0.3, 0.5), (0.6, 2.0)], 0.45),  # from where it stays above
        ([(0.0, 0.5), (0.5, None), (0.9, 2.0)], 0.9),  # what is not known does not pay
        ([(0.0, 0.5), (0.5, 2.0), (0.9, None)], None),
        ([], None),
    ],
)
def test_break_even(points: list[tuple[float, float | None]], expected: float | None) -> None:
    assert break_even(points) == (None if expected is None else pytest.approx(expected))


def test_the_atlas_has_the_best_kernel_and_its_gain_over_the_best_dense_one() -> None:
    cells = {(cell.layer, cell.density): cell for cell in atlas(RATES)}
    assert (cells["one", 0.1].family, cells["one", 0.1].gain) == ("f32_conv_pattern_rows", 4.0)
    assert (cells["one", 0.5].family, cells["one", 0.5].gain) == ("f32_conv_blocked_rows", 1.0)
    assert len(cells) == 2


def test_geometric_mean() -> None:
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)


class Measured:
    """Stands for the measurements, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cells: list[tuple[int, float]] = []
        self.kernels = 0
        self.fail_at: int | None = None
        monkeypatch.setattr(steps, "_rates", self.rates)
        monkeypatch.setattr(steps, "_cell", self.cell)

    def rates(self, _quick: bool) -> list[dict[str, Any]]:
        self.kernels += 1
        return [rate.__dict__ for rate in RATES]

    def cell(self, _graph: object, sparsity: float, settings: Any) -> dict[str, Any]:
        if len(self.cells) == self.fail_at:
            raise SparsenetError("cut short")
        self.cells.append((settings.threads, sparsity))
        return {
            "results": [result("ours", sparsity, settings.threads, 1.0).__dict__],
            "layers": [],
            "skipped": {},
        }


def test_a_run_cut_short_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    measured = Measured(monkeypatch)
    measured.fail_at = 2
    plan = Plan(("tiny",), (0.0, 0.5, 0.9), (1,), ("ours",))
    with pytest.raises(SparsenetError, match="cut short"):
        gather(plan, tmp_path, lambda *_: tiny_graph())
    measured.fail_at = None
    seen: list[tuple[int, int]] = []
    found = gather(plan, tmp_path, lambda *_: tiny_graph(), lambda _, done, total: seen.append((done, total)))
    assert measured.cells == [(1, 0.0), (1, 0.5), (1, 0.9)]
    assert measured.kernels == 1
    assert [r.sparsity for r in found.results["tiny"]] == [0.0, 0.5, 0.9]
    assert seen[-1] == (4, 4)
    assert len(found.history) == 1


def test_other_kernels_or_settings_are_measured_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    measured = Measured(monkeypatch)
    plan = Plan(("tiny",), (0.5,), (1,), ("ours",))
    gather(plan, tmp_path, lambda *_: tiny_graph())
    gather(Plan(("tiny",), (0.5,), (1,), ("ours",), seconds=9.0), tmp_path, lambda *_: tiny_graph())
    assert len(measured.cells) == 2
    assert measured.kernels == 1
    monkeypatch.setattr(steps, "fingerprint", lambda: "other kernels")
    monkeypatch.setattr(steps, "versions", lambda: {"commit": "another", "cpu": "x", "lanes": "16"})
    again = gather(plan, tmp_path, lambda *_: tiny_graph())
    assert len(measured.cells) == 3
    assert measured.kernels == 2
    assert [entry["commit"] for entry in again.history][-1] == "another"
    assert len(again.history) == 2


def test_a_damaged_step_is_measured_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    measured = Measured(monkeypatch)
    plan = Plan(("tiny",), (0.5,), (1,), ("ours",))
    gather(plan, tmp_path, lambda *_: tiny_graph())
    (kept,) = (tmp_path / "cells").iterdir()
    kept.write_text(kept.read_text()[:50])
    gather(plan, tmp_path, lambda *_: tiny_graph())
    assert len(measured.cells) == 2
    assert json.loads(kept.read_text())["value"]
