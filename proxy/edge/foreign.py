"""Requests from pages, or for host names, that no site lists: the sign of a mistake in ``domains``.

Anybody can send any Origin. So a name is reported, as a condition that lasts an hour, only after it came three times,
only when it is a plain host name, and at most one new name every ten seconds.
"""

import re
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from proxy.config.schema import Site
from proxy.model import condition_details as details
from proxy.model.condition import ConditionCode
from proxy.rules.request.sites import host_of
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.tallies import REFUSED, TallyCounters

_LEAST_TIMES = 3
_MOST_NAMES = 256
_LASTS_MS = 60 * 60_000
_BETWEEN_NAMES_MS = 10_000
# A name with a letter in its last label, so no IPv4 address, which could be a person's.
_HOST = re.compile(r"(?=.{1,100}\Z)(?:[a-z0-9_-]{1,63}\.)*(?=[a-z0-9-]*[a-z])[a-z0-9-]{1,63}", re.ASCII)


class ForeignNames:
    """Counts host names, at most 256; the name that came longest ago is forgotten first."""

    def __init__(self, conditions: Conditions, now: Callable[[], int], tallies: TallyCounters) -> None:
        """Begin with no names.

        Args:
            conditions: Are told of names that come repeatedly.
            now: Server clock in milliseconds.
            tallies: Count the requests with such names.
        """
        self._conditions = conditions
        self._tallies = tallies
        self._now = now
        self._times: OrderedDict[tuple[ConditionCode, str], int] = OrderedDict()
        self._next_at = 0

    def note_origin(self, page: str, site: Site) -> None:
        """Note the Origin or Referer of a page whose host the site does not list."""
        if page.startswith(("https://", "http://")):
            host = host_of(page)
            detail = partial(details.unlisted_origin, site=site.name, domains=site.domains, host=host)
            self._note("foreign_origin", host, detail)

    def note_insecure_origin(self, page: str, site: str) -> None:
        """Note a page of a site that came by plain http, while the site is served by https."""
        self._note("insecure_origin", host_of(page), partial(details.insecure_origin, site=site))

    def note_host(self, host: str) -> None:
        """Note a request for a path of ours under a host name that belongs to no site."""
        self._note("unknown_host", host_of(host), details.unknown_host)

    def _note(self, code: ConditionCode, name: str, detail: Callable[[int], str]) -> None:
        if not _HOST.fullmatch(name):
            return
        times = self._times[code, name] = self._times.pop((code, name), 0) + 1
        if len(self._times) > _MOST_NAMES:
            self._times.popitem(last=False)
        if times >= _LEAST_TIMES:
            self._tallies.count(REFUSED, code, name, by=times if times == _LEAST_TIMES else 1)
        if times >= _LEAST_TIMES and self._may_report(code, name):
            self._conditions.report(code, name, detail(times), lasts_ms=_LASTS_MS)

    def _may_report(self, code: ConditionCode, name: str) -> bool:
        """Tell whether a name may be reported: it already is, or no new name was reported in the last ten seconds."""
        if any((current.code, current.subject) == (code, name) for current in self._conditions.current()):
            return True
        now = self._now()
        if now < self._next_at:
            return False
        self._next_at = now + _BETWEEN_NAMES_MS
        return True
