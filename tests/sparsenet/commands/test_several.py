"""Options that take several values, with arguments beside them and without."""

from __future__ import annotations

import click
from click.testing import CliRunner

from sparsenet.commands.several import Several, SeveralValues


@click.command(cls=SeveralValues)
@click.argument("name")
@click.option("--x", cls=Several, type=float)
@click.option("--count", "-c", cls=Several, type=click.IntRange(1, 9))
@click.option("--kind", cls=Several, type=click.Choice(["a", "b"]))
@click.option("--flag", is_flag=True)
def with_argument(
    name: str, x: tuple[float, ...], count: tuple[int, ...], kind: tuple[str, ...], flag: bool
) -> None:
    click.echo(f"{name} {x} {count} {kind} {flag}")


@click.command(cls=SeveralValues)
@click.option("--kind", cls=Several, type=click.Choice(["a", "b"]))
@click.option("--x", cls=Several, type=float)
def without(kind: tuple[str, ...], x: tuple[float, ...]) -> None:
    click.echo(f"{kind} {x}")


@click.command(cls=SeveralValues)
@click.argument("others", nargs=-1)
@click.option("--kind", cls=Several, type=click.Choice(["a", "b"]))
def hands_on(others: tuple[str, ...], kind: tuple[str, ...]) -> None:
    click.echo(f"{others} {kind}")


def output(command: click.Command, *words: str) -> str:
    return CliRunner().invoke(command, words).output.strip()


def test_words_of_the_kind_are_values_and_others_are_arguments() -> None:
    assert output(with_argument, "--x", "1", "0.5", "file", "--flag") == "file (1.0, 0.5) () () True"
    assert output(with_argument, "file", "--x", "1", "--x", "2", "3") == "file (1.0, 2.0, 3.0) () () False"
    assert output(with_argument, "--x=1", "file") == "file (1.0,) () () False"
    assert (
        output(with_argument, "--x=1,2", "3", "file", "-c", "4,5") == "file (1.0, 2.0, 3.0) (4, 5) () False"
    )
    assert output(with_argument, "-c", "1", "2", "--kind", "a", "b", "c") == "c () (1, 2) ('a', 'b') False"


def test_what_is_no_value_is_told() -> None:
    assert "requires an argument" in output(with_argument, "file", "--x")
    assert "not a valid float" in output(with_argument, "file", "--x", "no")
    assert "not a valid float" in output(with_argument, "file", "--x", "1,,2")
    assert "10 is not in the range" in output(with_argument, "file", "-c", "1", "10")


def test_what_is_handed_on_comes_behind_two_dashes() -> None:
    assert output(hands_on, "--kind", "a", "b", "--", "--jobs", "4") == "('--jobs', '4') ('a', 'b')"
    assert "'c' is not one of" in output(hands_on, "--kind", "a", "c")


def test_help_says_that_there_may_be_several() -> None:
    assert "--kind [a|b]..." in output(without, "--help")


def test_without_arguments_every_word_is_a_value() -> None:
    assert output(without, "--kind", "a", "b", "--x", "1") == "('a', 'b') (1.0,)"
    assert "'c' is not one of" in output(without, "--kind", "a", "c")
    assert "'two' is not a valid float" in output(without, "--x", "1", "two")
