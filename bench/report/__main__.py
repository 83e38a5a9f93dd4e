"""``python -m bench.report``: measure the zoo here, or what of it is not measured yet, and write the page."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from tqdm import tqdm

from bench.measure.command import BenchCommand
from bench.measure.several import SeveralValues, is_number
from bench.model.measure import Settings, check_settings
from bench.subjects import networks
from sparsenet.commands.options import THREADS, FiniteRange
from sparsenet.io.files import require_output_folder
from sparsenet.targets.cpu.runtime.threads import available_cpus

MODELS = ("minixception-128-256", "mobilenetv1", "maskcnn", "resnet50")


class _Command(SeveralValues, BenchCommand):
    several = {"--sparsity": is_number, "--threads": str.isdigit}  # noqa: RUF012 - never changed


@click.command(cls=_Command, epilog="Example: python -m bench.report -o bench-out --threads 1 2")
@click.option("-o", "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("bench-out"),
    show_default=True, help="Folder of the page and of all measured steps.")  # fmt: skip
@click.option(
    "--model",
    "models",
    type=click.Choice(list(networks.MODELS)),
    multiple=True,
    default=MODELS,
    show_default=True,
    help="May be repeated.",
)
@click.option("--sparsity", type=FiniteRange(0, 1, max_open=True), multiple=True,
    default=(0, 0.5, 0.7, 0.8, 0.9, 0.95), show_default=True)  # fmt: skip
@click.option("--threads", type=THREADS, multiple=True, help="[default: 1, and all there are]")
@click.option("--engine", "engines", multiple=True, default=("ours", "dense", "ort"), show_default=True,
    help="Ours first; may be repeated.")  # fmt: skip
@click.option(
    "--seconds",
    type=FiniteRange(0, min_open=True),
    default=3.0,
    show_default=True,
    help="Timing of each combination.",
)
@click.option("--size", type=click.IntRange(8), help="Side of the images, where not each network's own.")
@click.option("--quick", is_flag=True, help="Fewer layers for the kernels.")
def main(
    out: Path, models: tuple[str, ...], sparsity: tuple[float, ...], threads: tuple[int, ...],
    engines: tuple[str, ...], seconds: float, size: int | None, quick: bool,
) -> None:  # fmt: skip
    """Measure and write OUT/report.html. Started again, it goes on where it was; new kernels are measured anew."""
    from bench.report.data import Plan, gather
    from bench.report.page import save_page

    counts = threads or tuple(sorted({1, available_cpus()}))
    plan = Plan(models, tuple(sorted(sparsity)), counts, engines, seconds, size, quick)
    require_output_folder(out)
    for count in counts:
        check_settings(Settings(engines, count, 1, seconds, 0))
    with tqdm(unit="step", file=sys.stderr) as bar:

        def progress(what: str, done: int, total: int) -> None:
            bar.total = total
            bar.set_description(what)
            bar.update(done - bar.n)

        data = gather(plan, out, networks.build_graph, progress)
    save_page(data, out / "report.html")
    click.echo(out / "report.html")


if __name__ == "__main__":
    main()
