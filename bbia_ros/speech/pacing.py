"""How far the loudspeaker is, and when it may have more."""

from __future__ import annotations


class Pacer:
    """Keeps what is sent at most `lead_s` ahead of what has been played.

    The loudspeaker's reports come at 20 Hz or not at all; between them, and without them, playing is taken to run in
    real time. When everything sent has been played (the voice was late), the clock stands until more is sent.

    Owns: a few numbers. Times are of any steady clock [s].
    """

    def __init__(self, lead_s: float = 0.2) -> None:
        self.lead_s = lead_s
        self.sent_s = 0.0
        self.reported = False
        self._time = self._position = self._base = 0.0

    def wait_s(self, now: float, duration_s: float) -> float:
        """How long to wait before the next chunk, which lasts `duration_s`, may be sent [s]."""
        return max(0.0, self.sent_s + duration_s - self.played_s(now) - self.lead_s)

    def send(self, now: float, duration_s: float) -> None:
        """A chunk was sent."""
        played = self.played_s(now)
        self._time, self._position = now, played
        self.sent_s += duration_s

    def report(self, now: float, position_s: float) -> None:
        """The loudspeaker said how far it is."""
        self.reported = True
        self._time, self._position = now, min(max(position_s, 0.0) + self._base, self.sent_s)

    def ran_dry(self, now: float) -> None:
        """The loudspeaker took what it had for the end; it will count what comes now from 0 again."""
        self._base = self.sent_s
        self._time, self._position = now, self.sent_s

    def played_s(self, now: float) -> float:
        """How much has been played [s]."""
        return min(self.sent_s, self._position + max(0.0, now - self._time))

    def left_s(self, now: float) -> float:
        """How much is still to be played [s]."""
        return self.sent_s - self.played_s(now)
