"""``python -m bench.report``: measure the zoo here, or what of it is not measured yet, and write the page."""

from __future__ import annotations

from pathlib import Path

import click

from bench.measure.command import bench_command
from bench.measure.options import (
    engines_option,
    models_option,
    seconds_option,
    size_option,
    sparsities_option,
    thread_counts_option,
)
from bench.subjects.networks import USUAL_MODELS
from sparsenet.io.files import require_output_folder
from sparsenet.targets.cpu.runtime.threads import available_cpus


@bench_command(
    "python -m bench.report -o bench-out --threads 1 2",
    "python -m bench.report -o quick --models minixception-128 --sparsity 0 0.9 --seconds 1 --quick",
)
@click.option("-o", "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("bench-out"),
    show_default=True, help="Folder of the page and of all measured steps.")  # fmt: skip
@models_option(USUAL_MODELS)
@sparsities_option((0, 0.5, 0.7, 0.8, 0.9, 0.95))
@thread_counts_option((), text="Threads.  [default: 1, and all there are]")
@engines_option(("ours", "dense", "ort"), "Engines, ours first.")
@seconds_option(3.0, "Timing of each combination.")
@size_option
@click.option("--quick", is_flag=True, help="Fewer layers for the kernels.")
def main(
    out: Path, models: tuple[str, ...], sparsity: tuple[float, ...], threads: tuple[int, ...],
    engines: tuple[str, ...], seconds: float, size: int | None, quick: bool,
) -> None:  # fmt: skip
    """Measure and write OUT/report.html. Started again, it goes on where it was; new kernels are measured anew."""
    from bench.measure.contest import Settings
    from bench.measure.output import bar, move
    from bench.report.data import Plan, gather
    from bench.report.page import save_page
    from bench.subjects.networks import build_graph

    counts = threads or tuple(sorted({1, available_cpus()}))
    plan = Plan(models, tuple(sorted(sparsity)), counts, engines, seconds, size, quick)
    require_output_folder(out)
    for count in counts:
        Settings(engines, count).check()
    with bar(None, "step") as steps:

        def progress(what: str, done: int, total: int) -> None:
            steps.set_description(what)
            move(steps, done, total)

        data = gather(plan, out, build_graph, progress)
    save_page(data, out / "report.html")
    click.echo(out / "report.html")


if __name__ == "__main__":
    main()
