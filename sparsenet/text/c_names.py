"""Names and comments in C, for networks and for what they call as they like."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from sparsenet.errors import InputError

#: Of C and C++.
_KEYWORDS = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl const constexpr continue
decltype default delete do double else enum explicit export extern false float for friend goto if inline int long
mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public register restrict
return short signed sizeof static static_assert struct switch template this thread_local throw true try typedef
typeid typename typeof union unsigned using virtual void volatile wchar_t while xor xor_eq
"""
#: What no network may be called: headers of C libraries, which an include might then miss, and targets of build tools.
_TAKEN = frozenset((
    *("assert", "complex", "ctype", "errno", "fenv", "float", "inttypes", "limits", "locale", "math", "setjmp"),
    *("signal", "stdarg", "stdbool", "stddef", "stdint", "stdio", "stdlib", "string", "tgmath", "time", "wchar"),
    *("features", "strings"),
    *("all", "clean", "help", "install", "test"),
))  # fmt: skip
#: Characters of a network's name, which all its others begin with, and of a parameter's.
_LONGEST_NAME, _LONGEST = 31, 48


def network_name(name: str | None, folder: Path) -> str:
    """What files and functions of a network begin with: ``name``, or what is made of its folder's name.

    Raises:
        InputError: it is no such name.
    """
    word = identifier(folder.absolute().name)[:_LONGEST_NAME].rstrip("_") if name is None else name
    if not is_name(word):
        raise InputError(
            f"{word!r:.60} cannot begin names in C: a name has lower-case letters, digits and _, a letter first, at "
            f"most {_LONGEST_NAME}, and is no standard header's or build target's"
        )
    return word


def is_name(word: str) -> bool:
    """Whether a network may be called so."""
    return bool(re.fullmatch(r"[a-z][a-z0-9_]*", word)) and not (
        len(word) > _LONGEST_NAME or word in _TAKEN or word.endswith("_")
    )


def identifier(text: str) -> str:
    """``text`` as an identifier in lower case."""
    word = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:_LONGEST].rstrip("_") or "x"
    return f"x{word}" if word[0].isdigit() else f"{word}_" if word in _KEYWORDS.split() else word


def parameter_names(kind: str, tensors: Sequence[str]) -> list[str]:
    """Names of parameters for tensors: ``kind`` if there is one, else ``kind_tensor``, no two of them the same."""
    names: list[str] = []
    for tensor in tensors:
        own = identifier(f"{kind}_{tensor}") if len(tensors) > 1 else kind
        names.append(next(name for name in _numbered(own) if name not in names))
    return names


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{number}" for number in itertools.count(2))


def comment(text: str) -> str:
    """Text of any origin inside of a comment: it can neither end it nor begin a line of its own."""
    clean = re.sub(r"[^\x20-\x7e]", "?", text)
    return clean.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?").replace("\\", "/")
