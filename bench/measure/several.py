"""Options that take several values, as in ``--sparsity 0 0.5 0.9``, which click has for arguments only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import click


class SeveralValues(click.Command):
    """A command some of whose options take all words behind them that are values of theirs.

    ``several`` maps the names of such an option to what tells whether a word is a value.
    """

    several: ClassVar[Mapping[str, Callable[[str], bool]]] = {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As usual, with ``--option a b c`` read as ``--option a --option b --option c``."""
        return super().parse_args(ctx, self._spread(args))

    def _spread(self, args: list[str]) -> list[str]:
        out: list[str] = []
        words = iter(args)
        option: str | None = None
        for word in words:
            if option is not None and self.several[option](word):
                out += [option, word]
                continue
            if option is not None and out and out[-1] == option:  # no value followed: click says so
                out.append(word)
                option = None
                continue
            option = None
            if word in self.several:
                option = word
                following = next(words, None)
                out += [word] if following is None else [word, following]
                continue
            out.append(word)
        return out


def is_number(word: str) -> bool:
    """Whether ``word`` is a number."""
    try:
        float(word)
    except ValueError:
        return False
    return True
