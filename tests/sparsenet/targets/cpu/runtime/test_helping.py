"""When a run asks the workers for help."""

from __future__ import annotations

import pytest

from sparsenet.targets.cpu.runtime.helping import FIRST_PAUSE, LONGEST_PAUSE, Helping


def test_help_is_wanted_until_it_does_not_pay() -> None:
    helping = Helping()
    assert helping.wanted(1.0)
    helping.note_helped(1.0, 0.002, 0.0038)
    assert helping.wanted(1.0)
    helping.note_helped(1.0, 0.002, 0.0021)
    assert not helping.wanted(1.0 + 0.9 * FIRST_PAUSE)
    assert helping.wanted(1.0 + 1.1 * FIRST_PAUSE)


def test_losses_that_go_on_make_attempts_rare() -> None:
    helping, now, helped = Helping(), 0.0, 0.0
    for _ in range(10_000):
        if helping.wanted(now):
            now, helped = now + 0.008, helped + 0.008
            helping.note_helped(now, 0.008, 0.003)
        else:
            now += 0.003
            helping.note_alone(0.003)
    assert 0 < helped < 0.03 * now
    assert helping.pause == LONGEST_PAUSE


def test_a_machine_that_becomes_quiet_is_found_within_the_longest_pause() -> None:
    helping, now = Helping(), 0.0
    for _ in range(20):
        helping.note_helped(now, 0.08, 0.003)
        now = helping.alone_until
    assert helping.wanted(now)
    quiet = now
    for _ in range(1000):
        now += 0.0016
        helping.note_helped(now, 0.0016, 0.003)
        assert helping.wanted(now)
    assert now - quiet > LONGEST_PAUSE
    assert helping.pause == FIRST_PAUSE


@pytest.mark.parametrize("alone", [0.0045, 0.0])
def test_what_a_run_takes_alone_is_known_from_such_runs(alone: float) -> None:
    """A caller that was stopped amid its own share thinks the whole would have taken long."""
    helping = Helping()
    if alone:
        helping.note_alone(alone)
    helping.note_helped(1.0, 0.0056, 0.0108)
    assert helping.wanted(1.0) is not bool(alone)


def test_a_long_loss_is_followed_by_a_longer_pause() -> None:
    helping = Helping()
    helping.note_helped(0.0, 0.08, 0.003)
    assert not helping.wanted(0.07)
    assert helping.wanted(0.09)
