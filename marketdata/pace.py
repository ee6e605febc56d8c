"""How often sockets are sent to: as often as is wished, and less while the processor is wanted."""

from typing import Final

from django.conf import settings

#: A round is so many seconds per socket, and settings.WS_FLUSH_PERIOD at least.
PER_SOCKET: Final = 0.0001
#: Turns that come so many seconds late, on average of a round, come too often; and on time: a loop
#: sleeps in whole milliseconds, and ticks are read between two turns.
LATE: Final = 0.005
ON_TIME: Final = 0.0025
#: What a round is stretched by each time, and shortened by when turns are on time again.
SLOWER: Final = 1.25
FASTER: Final = 0.97


class Pace:
    """The length of a round of turns.

    A frame carries the newest values, so a longer round makes none of them older. Turns that come
    late do: whoever sends as often as the processor lets him leaves none of it to orders and pages,
    and waits behind them for his own. So rounds grow, up to settings.WS_FLUSH_LONGEST, until turns
    come on time.
    """

    def __init__(self, turns: int) -> None:
        self._turns = turns
        self._stretch, self._late, self._heard = 1.0, 0.0, 0

    def between(self, readers: int) -> float:
        """Seconds from one turn to the next, with so many readers."""
        least = max(settings.WS_FLUSH_PERIOD.total_seconds(), PER_SOCKET * readers)
        longest = max(least, settings.WS_FLUSH_LONGEST.total_seconds())
        self._stretch = min(self._stretch, longest / least)
        return least * self._stretch / self._turns

    def heard(self, late: float) -> None:
        """A turn came so many seconds late."""
        self._late += late
        self._heard += 1
        if self._heard < self._turns:
            return
        mean, self._late, self._heard = self._late / self._turns, 0.0, 0
        if mean > LATE:
            self._stretch *= SLOWER
        elif mean < ON_TIME:
            self._stretch = max(1.0, self._stretch * FASTER)
