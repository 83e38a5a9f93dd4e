"""``sparsenet reproduce``: every table and figure of both papers, ours beside theirs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from sparsenet.commands.options import THREADS
from sparsenet.commands.several import Several, SeveralValues
from sparsenet.io.files import require_output_folder
from training.reproduce.settings import SECTIONS, Scale, Settings

EPILOG = """\b
Examples:
  sparsenet reproduce                                             # drawn faces, half an hour or so
  sparsenet reproduce --data maskedface_net --only comparison     # photographs: CMFD/ and IMFD/
  sparsenet reproduce --scale paper --data MaskedFace-Net --widerface WIDER
  sparsenet reproduce --scale paper --data faces -- --executor slurm --jobs 40"""


@click.command(cls=SeveralValues, epilog=EPILOG)
@click.option("--scale", type=click.Choice(["small", "paper"]), default="small", show_default=True,
              help="small: half an hour on two cores. paper: the papers' own sizes and epochs, for a GPU.")  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="MaskedFace-Net (CMFD/, IMFD/).  [default: drawn faces]")  # fmt: skip
@click.option("--widerface", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="WIDERFACE: wider_face_split/, WIDER_train/, WIDER_val/ and the .mat files in ground_truth/; "
                   "train/label.txt and train/images/ add landmarks.  [default: drawn scenes]")  # fmt: skip
@click.option("--backbone", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Trained ResNet-50 (.pth) RetinaFace starts from and keeps.  [default: random]")  # fmt: skip
@click.option(
    "--only", cls=Several, type=click.Choice(list(SECTIONS)), help="Sections to make.  [default: all]"
)
@click.option("--methods", cls=Several, metavar="METHOD...",
              help="Ways to prune in the comparison, as rigl snip snip-1x4: magnitude, lottery, snip and rigl take "
                   "blocks of four input channels with -1x4; magnitude, lottery, snip and random spare small layers "
                   "with -erk.  [default: those of --scale]")  # fmt: skip
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="auto", show_default=True,
              help="Of the classifiers' training. auto: bf16 on a GPU, fp32 on a CPU.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default="reproduce-out", show_default=True,
              help="Folder for results and the page; an interrupted run continues from it.")  # fmt: skip
@click.option(
    "--cores", type=click.IntRange(1), help="Cells at once.  [default: the CPUs this process may use]"
)
@click.option("--threads", type=THREADS, default=1, show_default=True,
              help="Threads of the engine while it is timed.")  # fmt: skip
@click.option("--quiet", is_flag=True, help="Nothing on standard error while all goes well.")
@click.argument("snakemake_options", nargs=-1, type=click.UNPROCESSED)
def reproduce(
    scale: Scale,
    data: Path | None,
    widerface: Path | None,
    backbone: Path | None,
    only: tuple[str, ...],
    methods: tuple[str, ...],
    precision: str,
    out: Path,
    cores: int | None,
    threads: int,
    quiet: bool,
    snakemake_options: tuple[str, ...],
) -> None:
    """Train, prune, measure and compare: tables as CSV, figures as PNG, and one page with all of them.

    A sweep of many small cells, run by Snakemake; what follows -- goes to it, such as an executor for a cluster.
    """
    from training.reproduce.sweep import require_inputs, run

    require_output_folder(out)

    settings = Settings.preset(scale, str(data.resolve()) if data else None)
    snip = dataclasses.replace(
        settings.snip,
        data=str(widerface.resolve()) if widerface else None,
        backbone=str(backbone.resolve()) if backbone else None,
    )
    settings = dataclasses.replace(settings, threads=threads, precision=precision, snip=snip)
    if only:
        # In the page's order, whatever the order asked for.
        settings = dataclasses.replace(settings, sections=tuple(name for name in SECTIONS if name in only))
    if methods:
        comparison = dataclasses.replace(settings.comparison, methods=methods)
        settings = dataclasses.replace(settings, comparison=comparison)
    require_inputs(settings)
    page = run(settings, out, cores, snakemake_options, quiet)
    click.echo(f"tables: {out / 'tables'}\nfigures: {out / 'figures'}\npage: {page}")
