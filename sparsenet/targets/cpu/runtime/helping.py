"""The decision whether a run uses the workers: not for a while after runs that they did not speed up."""

from __future__ import annotations

#: A run must take this much less than alone for help to be worth asking for.
WORTH = 1.1
#: Seconds without help after the first loss, and how many times as many after each that follows soon.
FIRST_PAUSE, GROWTH, LONGEST_PAUSE = 0.003, 4, 0.5
#: Weight of the last run in what a run alone takes.
RECENT = 0.25


class Helping:
    """Decides from the last runs of one plan whether the next one uses the workers.

    A worker that shares its CPU with other load may stop amid its share for a time slice of the system, which is longer
    than a whole run; nothing but running without it avoids that. So a run in which help did not pay is followed by a
    pause in which the caller runs alone, at least as long as that run, and a longer one if the next attempt fails as
    well: on a loaded machine attempts are rare. Runs that gain shorten the next pause by as long as they took.
    """

    def __init__(self) -> None:
        self.pause = FIRST_PAUSE
        self.alone_until = 0.0
        self._alone = 0.0

    def wanted(self, now: float) -> bool:
        """Whether a run that begins at ``now`` (seconds of any steady clock) should ask for help."""
        return now >= self.alone_until

    def note_alone(self, seconds: float) -> None:
        """Record that a run without help took ``seconds``."""
        self._alone += RECENT * (seconds - self._alone) if self._alone else seconds

    def note_helped(self, now: float, seconds: float, alone: float) -> None:
        """Record a run that ended at ``now`` and took ``seconds``, by the caller's share ``alone`` without help."""
        if self._alone:
            alone = min(alone, self._alone)
        if alone >= WORTH * seconds:
            self.pause = max(FIRST_PAUSE, self.pause - seconds)
            return
        self.alone_until = now + max(self.pause, min(seconds, LONGEST_PAUSE))
        self.pause = min(LONGEST_PAUSE, GROWTH * self.pause)
