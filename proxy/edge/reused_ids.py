"""Event ids that several visitors sent, counted per site: the sign of a page that is cached together with its ids."""

from collections import deque

from proxy.model import condition_details as details
from proxy.model.condition import ConditionBoard

_SLOT_MS = 10 * 60_000
_SLOTS = 6
_LEAST, _ONE_OF = 20, 50


class ReusedIds:
    """Counts within the last hour; sites are those of the configuration, so their number is bounded."""

    def __init__(self, board: ConditionBoard) -> None:
        self._board = board
        self._slots: dict[str, deque[list[int]]] = {}

    def note(self, site: str, events: int, reused: int, at: int) -> None:
        """Count the events of a request.

        Args:
            site: Whose pages or servers brought them.
            events: How many there are.
            reused: How many of them have an id that another visitor had brought.
            at: When the request was read: server clock in milliseconds.
        """
        slots = self._slots.get(site)
        if slots is None:
            slots = self._slots[site] = deque(maxlen=_SLOTS)
        slot = at // _SLOT_MS
        # A request read just before the newest slot began counts in that slot; a clock set back opens a new slot.
        if not slots or slots[-1][0] not in (slot, slot + 1):
            slots.append([slot, 0, 0])
        newest = slots[-1]
        newest[1] += events
        newest[2] += reused
        if reused:
            self._judge(site, slots, newest[0])

    def _judge(self, site: str, slots: deque[list[int]], slot: int) -> None:
        recent = [counted for counted in slots if slot - _SLOTS < counted[0] <= slot]
        events, reused = (sum(counted[place] for counted in recent) for place in (1, 2))
        if reused >= _LEAST and reused * _ONE_OF >= events:
            self._board.report("id_reused", site, details.ids_reused(reused, events), lasts_ms=_SLOT_MS * _SLOTS)
