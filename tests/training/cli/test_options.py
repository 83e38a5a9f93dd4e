"""Options that the training commands share."""

from __future__ import annotations

import click
from click.testing import CliRunner

from sparsenet.commands.several import Several, SeveralValues
from training.cli.options import Stage


@click.command(cls=SeveralValues)
@click.argument("file")
@click.option("--stages", cls=Several, type=Stage(), default=("64:3",))
def trains(file: str, stages: tuple[tuple[int, int], ...]) -> None:
    click.echo(f"{file} {stages}")


def output(*words: str) -> str:
    return CliRunner().invoke(trains, words).output.strip()


def test_stages_have_spaces_or_commas_between() -> None:
    assert output("--stages", "128:24", "256:6", "a:1") == "a:1 ((128, 24), (256, 6))"
    assert output("a", "--stages", "128:24,256:6") == "a ((128, 24), (256, 6))"
    assert output("a") == "a ((64, 3),)"
    assert "'128' is not SIZE:EPOCHS" in output("a", "--stages", "128")
