"""``python -m bench.limits``: one 1x1 convolution with its memory traffic taken away, part by part."""

from __future__ import annotations

from pathlib import Path

import click

from bench.measure.command import bench_command
from bench.measure.options import json_option, rounds_option
from sparsenet.io.files import require_outputs
from sparsenet.text.table import render


@bench_command("taskset -c 0 python -m bench.limits", "python -m bench.limits --rounds 1000 --json out.json")
@rounds_option(400)
@json_option
def main(rounds: int, json_file: Path | None) -> None:
    """GFLOP/s on nonzeros of a 128-channel 1x1 convolution, with and without its memory traffic.

    The arithmetic never changes; only where pixels are read and written does. With "outputs in L1" all output channels
    go to one line of pixels, with "inputs in L1" all columns read sixteen channels: both stay in the first-level cache.
    Loads bound the rest: a core starts two vector loads per cycle, as many as multiply-adds, and a weight's broadcast
    and the offset of its column are loads too.
    """
    require_outputs([json_file])

    from bench.limits.traffic import DENSITIES, FILL_BYTES, limits_at
    from bench.measure.output import bar, write_json
    from bench.measure.versions import versions

    found = []
    with bar(len(DENSITIES), "density") as progress:
        for density in DENSITIES:
            found.append(limits_at(density, rounds))
            progress.update()
    columns = ["zeros", "as it is", "outputs in L1", "inputs in L1", "both in L1", "bound by loads", "peak"]
    rows = [
        (f"{1 - f.density:.0%}", *(f"{rate:.0f}" for rate in (*f.gflops.values(), f.load_bound, f.peak)))
        for f in found
    ]
    click.echo(render(columns, rows))
    last = found[-1]
    click.echo(
        f"\nGFLOP/s on nonzeros, one thread, least time of {rounds} interleaved rounds. Writing {FILL_BYTES >> 10} kB "
        f"again and again: {last.stores:.0f} GB/s; a vector written takes as long as {last.store_cost:.1f} "
        "multiply-adds."
    )
    write_json(json_file, {"versions": versions(), "densities": found})


if __name__ == "__main__":
    main()
