"""Text of unknown origin made fit for a terminal, a log or a table: names come from files, and files from anyone.

A name may hold line breaks, escape sequences that recolour or overwrite a terminal, or marks that turn the direction of
reading, and may have a million letters.
"""

from __future__ import annotations

import re
import warnings

#: Characters that a message or a cell of a table may have.
LONGEST = 300
_CUT = " … "
_BREAKS = re.compile(r"[ \t\r\n]*[\t\r\n][ \t\r\n]*")


def escaped(text: str) -> str:
    r"""``text`` with every character that is not printable written out, as in ``\x1b`` or ``\u202e``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(text: str, longest: int = LONGEST) -> str:
    """``text`` on one line: breaks and tabs become spaces, other unprintable characters are escaped.

    Of more than ``longest`` characters the middle is left out, so that what was wrong and what to do both stay. What
    this returns it leaves as it is.
    """
    if len(text) > 4 * longest:  # so that a huge text costs no more than a long one
        text = text[: 2 * longest] + text[-2 * longest :]
    text = escaped(_BREAKS.sub(" ", text.strip("\t\r\n ")))
    if len(text) <= longest:
        return text
    tail = longest // 3
    return text[: longest - tail - len(_CUT)] + _CUT + text[-tail:]


def warn(message: str, category: type[Warning] = UserWarning, *, stacklevel: int) -> None:
    """``warnings.warn`` with the message on one line."""
    warnings.warn(one_line(message), category, stacklevel=stacklevel + 1)
