"""Tells the board of conditions that the database is away, and how many events it lacks."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from proxy.model.condition import ConditionBoard
from proxy.model.condition_details import database_away
from proxy.queue.spool.spool import Spool

_EVERY_S = 1.0


class WatchedDatabase(Protocol):
    """What the report must know of the database."""

    closed: bool
    why_away: str
    watchers: list[Callable[[], None]]

    @property
    def is_here(self) -> bool:
        """Whether it answers."""


class AwayReport:
    """Reports from when the database goes away until it has all that was spooled; used on the event loop only."""

    def __init__(self, database: WatchedDatabase, spool: Spool | None, conditions: ConditionBoard) -> None:
        """Report from now on.

        Args:
            database: Tells when it comes and goes.
            spool: Holds what the database lacks; None if there is no spool.
            conditions: The board to which it is reported.
        """
        self._database = database
        self._spool = spool
        self._conditions = conditions
        self._timer: asyncio.TimerHandle | None = None
        database.watchers.append(self._update_report)
        self._update_report()

    def _update_report(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._database.closed:
            return
        events = self._spool.events if self._spool else 0
        if self._database.is_here and not events:
            self._conditions.clear("database")
            return
        why = "" if self._database.is_here else self._database.why_away
        self._conditions.report("database", detail=database_away(why, events))
        self._timer = asyncio.get_running_loop().call_later(_EVERY_S, self._update_report)
