from __future__ import annotations

from sparsenet.text.nearest import did_you_mean


def test_what_is_close_is_suggested_nearest_first() -> None:
    known = ["profile", "compile", "info"]
    assert did_you_mean("pofile", known) == ": did you mean 'profile' or 'compile'?"
    assert did_you_mean("ifno", known) == ": did you mean 'info'?"
    assert did_you_mean("zzz", known) == did_you_mean("info", []) == ""
