"""``python -m bench.movement``: layers that move data, alone, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import click

from bench.measure.command import bench_command
from bench.measure.options import json_option, rounds_option
from sparsenet.errors import InputError
from sparsenet.io.files import require_outputs


@bench_command(
    "taskset -c 0 python -m bench.movement", "python -m bench.movement 'pixel shuffle' --json out.json"
)
@click.argument("word", default="")
@rounds_option(41)
@json_option
def main(word: str, rounds: int, json_file: Path | None) -> None:
    """Transposed convolutions, pixel shuffles, transpositions, slices: only cases whose name has WORD in it.

    One thread each, taking turns; processor time of the thread, so that what else runs on the machine counts little.
    """
    from bench.measure.output import bar, markdown_table, write_json
    from bench.measure.versions import versions
    from bench.movement.cases import cases
    from bench.movement.race import race

    chosen = [case for case in cases() if word in case.name]
    if not chosen:
        names = ", ".join(case.name for case in cases())
        raise InputError(f"no case has '{word}' in its name; there are {names}")
    require_outputs([json_file])
    results = []
    with bar(len(chosen), "layer") as progress:
        for case in chosen:
            progress.set_description(case.name)
            results.append(race(case, rounds))
            progress.update()
    rows = [(r.layer, f"{r.ours_ms:.3f}", f"{r.ort_ms:.3f}", f"{r.ratio:.2f}") for r in results]
    click.echo(markdown_table(["layer", "ms", "ONNX Runtime, ms", "ratio"], rows))
    write_json(json_file, {"versions": versions(), "layers": results})


if __name__ == "__main__":
    main()
