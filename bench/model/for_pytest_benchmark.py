"""Results as pytest-benchmark keeps its own, for ``pytest-benchmark compare`` and what else reads such files."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from bench.model.results import Result


def benchmarks_of(name: str, results: Sequence[Result], versions: dict[str, str]) -> dict[str, Any]:
    """The parts of such a file: one benchmark for each row, in seconds.

    Args:
        name: of the network.
        results, versions: of the run.
    """
    now = datetime.now(UTC).isoformat()
    return {
        "benchmarks": [_benchmark(name, result) for result in results],
        "machine_info": {"node": platform.node(), "cpu": {"brand_raw": versions["cpu"]}, **versions},
        "commit_info": {
            "id": versions["commit"].rstrip("+"),
            "dirty": versions["commit"].endswith("+"),
            "time": now,
        },
        "datetime": now,
        "version": version("sparsenet"),
    }


def _benchmark(name: str, r: Result) -> dict[str, Any]:
    zeros = "as-it-is" if r.sparsity is None else f"{r.sparsity:g}-{r.block}"
    row = f"{r.engine}-{zeros}-threads{r.threads}-batch{r.batch}"
    full, params = f"{name}[{row}]", {"sparsity": r.sparsity, "threads": r.threads, "batch": r.batch}
    low, high = r.latency_ms_p25 / 1e3, r.latency_ms_p75 / 1e3
    mean, least = r.latency_ms_mean / 1e3, r.latency_ms_min / 1e3
    stats = {
        "min": least, "max": r.latency_ms_max / 1e3, "mean": mean, "stddev": r.latency_ms_std / 1e3,
        "median": r.latency_ms_median / 1e3, "q1": low, "q3": high, "iqr": high - low, "rounds": r.rounds,
        "iterations": 1, "ops": 1 / mean, "total": mean * r.rounds, "ld15iqr": least,
        "hd15iqr": r.latency_ms_max / 1e3, "iqr_outliers": 0, "stddev_outliers": 0, "outliers": "0;0",
    }  # fmt: skip
    return {
        "group": None, "name": full, "fullname": f"sparsenet bench::{full}", "params": params, "param": row,
        "extra_info": {"clock": r.clock, "yardsticks": r.yardsticks}, "options": {}, "stats": stats,
    }  # fmt: skip
