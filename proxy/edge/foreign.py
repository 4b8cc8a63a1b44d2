"""Requests from pages or under names that no site lists: what a wrong ``domains`` looks like, told by name.

Anybody can send any Origin, so a name is told only after it came a few times, only when it is a plain host name, at
most one new name in ten seconds, and for an hour.
"""

import re
from collections import OrderedDict
from collections.abc import Callable

from proxy.model.condition import ConditionCode
from proxy.rules.request.sites import host_of
from proxy.telemetry.conditions import Conditions

_TIMES = 3
_MOST_NAMES = 256
_LASTS_MS = 60 * 60_000
_PAUSE_MS = 10_000
# A name with a letter in its last label, so no IPv4 address, which could be a person's.
_HOST = re.compile(r"(?=.{1,100}\Z)(?:[a-z0-9_-]{1,63}\.)*(?=[a-z0-9-]*[a-z])[a-z0-9-]{1,63}", re.ASCII)


class Foreign:
    """Counts by name, bounded: the name that came longest ago is forgotten first."""

    def __init__(self, conditions: Conditions, now: Callable[[], int]) -> None:
        self._conditions = conditions
        self._now = now
        self._times: OrderedDict[tuple[ConditionCode, str], int] = OrderedDict()
        self._next_at = 0

    def origin(self, page: str, site: str) -> None:
        """Note a page (its Origin or Referer) of a host that a site does not list."""
        if page.startswith(("https://", "http://")):
            self._note("foreign_origin", host_of(page), f"site {site}: is it missing in site.domains?")

    def insecure(self, page: str, site: str) -> None:
        """Note a page of a site that came by plain http, while the site is served by https."""
        self._note("insecure_origin", host_of(page), f"site {site}: its pages came by http, its events by https")

    def host(self, host: str) -> None:
        """Note a request for a path of ours under a name by which no site can be told."""
        self._note("unknown_host", host_of(host), "is it missing in site.domains, or is the Host header not passed on?")

    def _note(self, code: ConditionCode, name: str, detail: str) -> None:
        if not _HOST.fullmatch(name):
            return
        times = self._times[code, name] = self._times.pop((code, name), 0) + 1
        if len(self._times) > _MOST_NAMES:
            self._times.popitem(last=False)
        if times >= _TIMES and self._may_tell(code, name):
            self._conditions.report(code, name, f"{times} requests refused; {detail}", lasts_ms=_LASTS_MS)

    def _may_tell(self, code: ConditionCode, name: str) -> bool:
        """Go on about a name on the board; tell a new one only when no other was told just now."""
        if any((told.code, told.subject) == (code, name) for told in self._conditions.current()):
            return True
        now = self._now()
        if now < self._next_at:
            return False
        self._next_at = now + _PAUSE_MS
        return True
