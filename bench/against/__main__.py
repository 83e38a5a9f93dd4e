"""``python -m bench.against``: our engine against others on whole pruned networks, interleaved in one run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from bench.measure.command import bench_command
from bench.measure.options import (
    blocks_option,
    engines_option,
    json_option,
    models_option,
    seconds_option,
    seed_option,
    size_option,
    sparsities_option,
    threads_option,
)
from bench.measure.output import write_json
from bench.subjects.networks import USUAL_MODELS
from bench.subjects.sparsity import SPARSITY_NOTE
from sparsenet.io.files import require_outputs

#: Others are compared when named: OpenVINO, those in bfloat16 and int8, and what one writes with NumPy or SciPy.
USUAL_ENGINES = ("ours", "dense", "ort", "deepsparse", "torch")
NOTES = (
    SPARSITY_NOTE[0].upper()
    + SPARSITY_NOTE[1:]
    + ". DeepSparse needs Python 3.11: name an interpreter that has it in "
    "SPARSENET_DEEPSPARSE_PYTHON."
)


@bench_command(
    "python -m bench.against --models mobilenetv1 resnet50 --sparsity 0 0.9 --json one.json",
    "taskset -c 0 python -m bench.against --models maskcnn --engines ours ort",
    "python -m bench.against --engines ours-int8 ort-int8 openvino-int8 --block 1x4 1x1 --json int8.json",
    "python -m bench.against --engines ours-int8 openvino-int8 --block 1x4 --avx2",
    notes=NOTES,
)
@models_option(USUAL_MODELS)
@sparsities_option((0, 0.5, 0.7, 0.8, 0.9, 0.95))
@blocks_option(("1x1",), "Weights that become zero together: alone, or of four neighbouring input channels.")
@engines_option(USUAL_ENGINES, "Engines; the first is held against all others.")
@threads_option()
@click.option("--avx2", is_flag=True, help="As on a CPU that has AVX2, but neither AVX-512 nor VNNI.")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Images at a time.")
@seconds_option(5.0, "About how long each network is timed.")
@size_option
@seed_option
@json_option
def main(json_file: Path | None, avx2: bool, **asked: Any) -> None:
    """Time our engine, sparse and dense, against ONNX Runtime, DeepSparse and PyTorch on pruned networks.

    Outputs are compared first; engines then take turns in random order within one run. Ratios are medians over rounds:
    the other's time over the first's. With one thread processor time counts, with several wall time; rounds that other
    work disturbed are dropped, and where too few are left it says so.
    """
    from bench.against.compare import Comparison, compare
    from bench.against.tables import notes, tables
    from bench.measure.contest import Settings
    from bench.measure.older_cpu import begin_again_with_avx2
    from bench.measure.versions import versions

    require_outputs([json_file])
    if avx2:
        begin_again_with_avx2(asked["engines"])

    def keep(comparison: Comparison) -> None:
        means = [
            {"engine": engine, "block": block, "sparsity": s, "ratio": ratio}
            for engine, block, s, ratio in comparison.geometric_means()
        ]
        record = {
            "settings": {**asked, "avx2": avx2},
            "affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
            "versions": versions(),
            "note": SPARSITY_NOTE,
            "skipped": comparison.skipped,
            "results": comparison.results,
            "geometric_means": means,
        }
        write_json(json_file, record)

    settings = Settings(
        asked["engines"], asked["threads"], asked["batch"], asked["seconds"], warmup=0.0, seed=asked["seed"]
    )
    comparison = compare(asked["models"], asked["sparsity"], settings, asked["size"], keep, asked["block"])
    click.echo(tables(comparison, settings.batch))
    click.echo(f"\n{notes(comparison, settings)}")


if __name__ == "__main__":
    main()
