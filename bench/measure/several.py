"""Options that take several values, as in ``--sparsity 0 0.5 0.9``, which click has for arguments only."""

from __future__ import annotations

from typing import Any

import click


class Several(click.Option):
    """An option that takes every word behind it that is a value; its command is a ``SeveralValues``."""

    def __init__(self, *names: Any, **settings: Any) -> None:
        super().__init__(*names, **{"multiple": True, **settings})

    def takes(self, word: str) -> bool:
        """Whether ``word`` is of this option's kind: a number, or one of its choices."""
        if isinstance(self.type, click.Choice):
            return word in self.type.choices
        return word.isdigit() if isinstance(self.type, click.types.IntParamType) else is_number(word)


class SeveralValues(click.Command):
    """A command that reads ``--option a b c`` of its ``Several`` as ``--option a --option b --option c``.

    Every word that is no option is a value. Where the command has arguments, too, words that are not of the option's
    kind are these.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line."""
        return super().parse_args(ctx, self._spread(args))

    def _spread(self, args: list[str]) -> list[str]:
        several = {
            name: option for option in self.params if isinstance(option, Several) for name in option.opts
        }
        arguments = any(isinstance(parameter, click.Argument) for parameter in self.params)
        out: list[str] = []
        option, values = "", 0
        for word in args:
            if option and values == 0:  # whatever it is: click says what is wrong with it
                values = 1
            elif option and (several[option].takes(word) if arguments else not word.startswith("-")):
                out.append(option)
            else:
                option, values = (word, 0) if word in several else ("", 0)
            out.append(word)
        return out


def is_number(word: str) -> bool:
    """Whether ``word`` is a number."""
    try:
        float(word)
    except ValueError:
        return False
    return True
