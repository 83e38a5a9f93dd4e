"""Names in C for what a network calls as it likes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sparsenet.errors import InputError

#: Of C and C++.
_KEYWORDS = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl const constexpr continue
decltype default delete do double else enum explicit export extern false float for friend goto if inline int long
mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public register restrict
return short signed sizeof static static_assert struct switch template this thread_local throw true try typedef
typeid typename typeof union unsigned using virtual void volatile wchar_t while xor xor_eq
"""
LONGEST = 48


def require_name(name: str) -> None:
    """Check a name that is to begin all others of a library.

    Raises:
        InputError: no identifier of C and C++ can begin with it.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or len(name) > LONGEST:
        raise InputError(
            f"name must be letters, digits and underscores, a letter first, at most {LONGEST}, got {name[:60]!r}"
        )


def identifier(text: str) -> str:
    """``text`` as an identifier in lower case."""
    word = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:LONGEST].rstrip("_") or "x"
    return f"x{word}" if word[0].isdigit() else f"{word}_" if word in _KEYWORDS.split() else word


def identifiers(texts: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """An identifier of its own for each of ``texts``, none of them among ``taken``."""
    used, names = set(taken), []
    for text in texts:
        name, number = identifier(text), 2
        while name in used:
            name, number = f"{identifier(text)}_{number}", number + 1
        used.add(name)
        names.append(name)
    return names
