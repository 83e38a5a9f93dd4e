from __future__ import annotations

import inspect
import json
import pickle
import sys
import warnings

import pytest

import converters.verify
from sparsenet import errors
from sparsenet.errors import GraphError, SparsenetError, UnsupportedOpError
from sparsenet.text.one_line import LONGEST, escaped, one_line, warn
from sparsenet.text.table import render, to_json

#: Escape sequences, a bell, C1 controls, line and paragraph ends, marks of direction, halves of a pair, tags.
NASTY = (
    "a\x1b[31m\x07\x00\x7f\x9b2J\x85\u2028\u2029\u200e\u200f\u202e\u2066\u2069\u061c\ufeff\ud800\U000e0041z"
)
EVERY = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, SparsenetError)]


def is_clean(text: str) -> bool:
    return text.isprintable() and len(text) <= LONGEST


@pytest.mark.parametrize(
    "text",
    [NASTY, "\n\nFAKE\r\nLINE\n", "x" * 10**6, NASTY * 1000, "", "\x1b", "é 日本 ±", "\ud800" * 60],
    ids=["nasty", "lines", "long", "both", "empty", "escape", "letters", "halves"],
)
def test_any_text_becomes_one_line_and_then_stays(text: str) -> None:
    line = one_line(text)
    assert is_clean(line)
    assert one_line(line) == line
    line.encode()


def test_unprintable_characters_are_written_out_and_others_kept() -> None:
    assert escaped("a\x1b[1m\u202eé\ud800") == "a\\x1b[1m\\u202eé\\ud800"
    assert one_line(" two\n  lines\tand a tab ") == "two lines and a tab"
    assert one_line("kept  as it is") == "kept  as it is"
    written = escaped("".join(map(chr, range(sys.maxunicode + 1))))
    assert not any(c in written for c in NASTY[1:-1] if c > "\x7f")


def test_a_long_message_keeps_both_its_ends() -> None:
    line = one_line("what: " + "x" * 1000 + "; do that")
    assert line.startswith("what: xx")
    assert line.endswith("x; do that")
    assert len(line) == LONGEST
    assert one_line("x" * LONGEST) == "x" * LONGEST


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind is not errors.MissingExtraError])
def test_no_error_can_hold_anything_else(kind: type[SparsenetError]) -> None:
    for message in (NASTY, "node '" + "n" * 5000 + "' is wrong\nFAKE"):
        error = kind(message)
        assert is_clean(str(error))
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
        assert is_clean(str(kind(f"file.onnx: {error}")))


def test_subclasses_of_other_packages_are_built_on_the_base() -> None:
    assert issubclass(converters.verify.VerificationError, SparsenetError)
    assert is_clean(str(errors.MissingExtraError(NASTY, "onnx")))


def test_as_many_reasons_as_fit_and_the_number_of_the_others() -> None:
    reasons = [f"'node{i}' (Op): {NASTY}" for i in range(50)]
    error = UnsupportedOpError("'net' has 50 unsupported nodes", reasons)
    assert is_clean(str(error))
    assert str(error).startswith("'net' has 50 unsupported nodes: 'node0' (Op): a\\x1b")
    assert str(error).endswith(" more")
    assert len(error.reasons) == 50
    assert all(map(is_clean, error.reasons))
    assert pickle.loads(pickle.dumps(error)).reasons == error.reasons
    assert str(UnsupportedOpError("two nodes", ["one", "two"])) == "two nodes: one; two"
    assert is_clean(str(UnsupportedOpError("x" * 400, ["y" * 400, "z"])))


def test_warnings_and_tables_are_on_one_line() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn(NASTY, stacklevel=1)
    assert is_clean(str(caught[0].message))
    assert caught[0].filename == __file__
    lines = render([NASTY, "n"], [[NASTY, 1], ["x\ny", 2]]).split("\n")
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)


def test_json_says_the_same_in_printable_characters() -> None:
    value = {NASTY.replace("\ud800", ""): ["\x7f\u202e\U000e0041", "é"]}
    text = to_json(value)
    assert all(line.isprintable() for line in text.split("\n"))
    assert json.loads(text) == value
    assert "é" in text


def test_a_graph_error_is_still_what_it_was() -> None:
    with pytest.raises(ValueError, match=r"^bad$"):
        raise GraphError("bad")
