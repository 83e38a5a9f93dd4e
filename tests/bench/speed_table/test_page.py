"""The tables of docs/speed.md follow from the results they are made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.speed_table.page import every, means, page
from bench.speed_table.runs import read
from sparsenet.errors import InputError


def _result(model: str, sparsity: float, engine: str, ratio: float, rounds: int = 9) -> dict[str, Any]:
    return {
        "model": model, "sparsity": sparsity, "block": "1x1", "engine": engine, "median_ms": 2.5 * ratio,
        "ratio": ratio, "ratio_interval": [0.9 * ratio, 1.1 * ratio], "rounds": rounds,
    }  # fmt: skip


def _write(path: Path, threads: int, results: list[dict[str, Any]]) -> Path:
    path.write_text(
        json.dumps({"settings": {"threads": threads, "engines": ["ours", "ort"]}, "results": results})
    )
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    both = [_result(m, s, "ours", 1) for m in ("a", "b") for s in (0, 0.9)]
    both += [_result("a", 0, "ort", 1), _result("a", 0.9, "ort", 2)]
    both += [_result("b", 0, "ort", 1), _result("b", 0.9, "ort", 8)]
    again = [_result("b", 0.9, "ort", 3, rounds=2)]
    return [
        _write(tmp_path / "b.json", 2, both),
        _write(tmp_path / "a.json", 1, both),
        _write(tmp_path / "c.json", 1, again),
    ]


def test_geometric_means_are_over_the_networks(files: list[Path]) -> None:
    one, two = read(files)
    assert (one.threads, two.threads) == (1, 2)
    assert means(one).splitlines()[-1] == "| ONNX Runtime | 1.00× | 4.00× |"
    assert "(2 networks)" in means(one)


def test_the_measurement_with_more_rounds_counts(files: list[Path]) -> None:
    assert "| ONNX Runtime | 1.00× | 8.00× |" in every(read(files)[0])
    assert "| **b** | **2.5 ms** | **2.5 ms** |" in every(read(files)[0])


def test_a_network_that_lacks_a_sparsity_shows_a_gap_and_is_not_averaged(
    tmp_path: Path, files: list[Path]
) -> None:
    extra = _write(tmp_path / "d.json", 1, [_result("c", 0, "ours", 1), _result("c", 0, "ort", 5)])
    one = read([*files, extra])[0]
    assert "| ONNX Runtime, 2 of them | 1.00× | 4.00× |" in means(one)
    assert "| ONNX Runtime | 5.00× | – |" in every(one)


def test_what_was_too_noisy_to_tell_is_said_and_not_averaged(tmp_path: Path, files: list[Path]) -> None:
    unsure = {**_result("c", 0.9, "ort", 1), "ratio": None, "ratio_interval": None}
    extra = _write(tmp_path / "d.json", 1, [_result("c", 0, "ort", 5), unsure])
    one = read([*files, extra])[0]
    assert "| ONNX Runtime, 2 of them | 1.00× | 4.00× |" in means(one)
    assert "| ONNX Runtime | 5.00× | too noisy |" in every(one)
    assert "reach ±10.0%" in page([one])


def test_the_page_tells_the_spread(files: list[Path]) -> None:
    text = page(read(files))
    assert "95 % intervals of a ratio reach ±10.0%" in text
    assert text.index("**one thread**") < text.index("**2 threads**") < text.index("<details>")


def test_another_file_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    result = _result("c", 0, "ort", 5)
    broken = [
        {**result, "engine": "x"},
        {**result, "median_ms": -1},
        {**result, "ratio_interval": [1]},
        {"model": 3},
    ]
    for record in (
        [],
        {},
        *(
            {"settings": {"threads": 1, "engines": ["ours"]}, "results": rows}
            for rows in ([], *([r] for r in broken))
        ),
    ):
        other.write_text(json.dumps(record))
        with pytest.raises(InputError, match="is no result of"):
            read([other])


def test_a_run_whose_ratios_are_all_too_noisy_is_a_page(tmp_path: Path) -> None:
    unsure = {**_result("c", 0.9, "ort", 1), "ratio": None, "ratio_interval": None}
    assert "too noisy" in page(read([_write(tmp_path / "one.json", 1, [unsure])]))


def test_each_kind_of_block_is_a_table_with_a_row_for_the_fastest(tmp_path: Path) -> None:
    results = [
        {**_result(m, 0.8, e, ratio), "block": "1x4"}
        for m, ratios in (("a", (1, 2, 9)), ("b", (1, 8, 3)))
        for e, ratio in zip(("ours-int8", "ort-int8", "openvino-int8"), ratios, strict=True)
    ]
    results.append(_result("a", 0.8, "ort-int8", 5))
    path = tmp_path / "int8.json"
    path.write_text(json.dumps({"settings": {"threads": 2, "engines": ["ours-int8"]}, "results": results}))
    alone, blocks = read([path])
    assert means(blocks).splitlines()[-1] == "| the fastest of others | 2.45× |"
    assert means(alone).splitlines()[-1] == "| ONNX Runtime int8 | 5.00× |"
    assert "**ours, int8, 2 threads, zeros in 1x4 blocks**" in page([blocks])
