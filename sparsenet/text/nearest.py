"""What somebody may have meant by a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``": did you mean 'profile'?"``, with as many of the ``known`` as are close to ``name``; "" if none is."""
    import difflib

    close = difflib.get_close_matches(name, list(known))
    return f": did you mean {' or '.join(repr(word) for word in close)}?" if close else ""
