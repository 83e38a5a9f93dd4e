"""Options that take several values, as in ``--sparsity 0 0.5 0.9``, which click has for arguments only."""

from __future__ import annotations

from typing import Any

import click


class Several(click.Option):
    """An option that takes every word behind it that is a value, or values with commas between.

    Its command is a ``SeveralValues``.
    """

    def __init__(self, *names: Any, **settings: Any) -> None:
        super().__init__(*names, **{"multiple": True, **settings})

    def make_metavar(self, ctx: click.Context) -> str:
        """What stands for the values in ``--help``, and that there may be several."""
        return super().make_metavar(ctx).removesuffix("...") + "..."

    def takes(self, word: str) -> bool:
        """Whether ``word`` is of this option's kind: numbers, some of its choices, or what its type can read."""
        return all(self._is_value(part) for part in word.split(","))

    def _is_value(self, word: str) -> bool:
        if isinstance(self.type, click.Choice):
            return word in self.type.choices
        if isinstance(self.type, click.types.IntParamType):
            return word.isdigit()
        if isinstance(self.type, click.types.FloatParamType):
            return is_number(word)
        if word[:1] == "-":  # a path could have such a name, an option does
            return False
        try:
            self.type.convert(word, self, None)
        except click.UsageError:
            return False
        return True


class SeveralValues(click.Command):
    """A command that reads ``--option a b c`` of its ``Several`` as ``--option a --option b --option c``.

    ``--option a,b,c`` and ``--option=a,b,c`` are the same. Every word that is no option is a value. Where the command
    needs arguments, too, words that are not of the option's kind are these; arguments that it can do without come
    behind ``--``.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line."""
        return super().parse_args(ctx, self._spread(args))

    def _spread(self, args: list[str]) -> list[str]:
        several = {
            name: option for option in self.params if isinstance(option, Several) for name in option.opts
        }
        arguments = any(
            isinstance(parameter, click.Argument) and parameter.required for parameter in self.params
        )
        out: list[str] = []
        option = ""  # the last word, if that is one of these options
        current = ""  # the option whose values are being read
        for word in _words(args, several):
            if option or (current and (several[current].takes(word) if arguments else word[:1] != "-")):
                # The first word belongs to it whatever it is: click says what is wrong with it.
                for part in word.split(","):
                    out += [current, part.strip()]
                option = ""
            elif word in several:
                option = current = word
            else:
                current = ""
                out.append(word)
        return out + [option] * bool(option)


def _words(args: list[str], several: dict[str, Several]) -> list[str]:
    """``args``, with ``--option=values`` as two words where the option takes several."""
    words: list[str] = []
    for word in args:
        name, equals, values = word.partition("=")
        words += [name, values] if equals and name in several else [word]
    return words


def is_number(word: str) -> bool:
    """Whether ``word`` is a number."""
    try:
        float(word)
    except ValueError:
        return False
    return True
