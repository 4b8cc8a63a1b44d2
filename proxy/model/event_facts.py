"""Facts about an event for the ledger's figures: nothing personal, and of personal fields only their names.

The rules fill them in, the queue stores them with the event, and they go into its ledger row when the event ends.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

MATCH_KEYS: Final = (
    *("em", "ph", "fn", "ln", "ge", "db", "ct", "st", "zp", "country"),
    *("external_id", "fbp", "fbc", "client_ip_address", "client_user_agent"),
    *("lead_id", "subscription_id", "fb_login_id", "madid", "anon_id", "ctwa_clid", "page_id"),
    *("page_scoped_user_id", "ig_account_id", "ig_sid"),
)
"""Keys of ``user_data`` that tell whom an event is about (Meta, customer information parameters).

Their order is fixed: stored bits are numbered by it, so a new key goes to the end.
"""
VALUE_SCALE: Final = 10_000
"""How many parts one unit of a currency has: values are counted in whole parts, so that sums are exact."""
_BITS: Final = {name: 1 << place for place, name in enumerate(MATCH_KEYS)}


class EventFacts(NamedTuple):
    """What the ledger keeps of an event besides its ids and how it ended."""

    site: str = ""
    """The name of its site."""
    match_keys: int = 0
    """Which match keys its payload carries, as bits (see ``bits_of``)."""
    consent: str = ""
    """What was known of consent when it arrived: a word of ``Consent``; ``not_asked`` if a server sent the event."""
    consent_source: str = ""
    """Where ``consent`` comes from: ``pixel`` or the consent managers that the tag asks (``usercentrics+tcf``); if the
    page said nothing, the site's setting, ``pixel`` or ``required``; ``visitor_cookie`` for a withdrawal on an earlier
    page; or ``server``."""
    redactions: tuple[str, ...] = ()
    """What was taken out, and where, such as ``email:url``."""
    value: int | None = None
    """The value of its custom data in ten-thousandths of the currency; None if there is none that can be summed."""
    currency: str = ""
    """The currency of ``value``; empty if there is no value."""


NO_FACTS: Final = EventFacts()
"""The facts of events that were stored before facts were kept."""


def bits_of(names: Iterable[str]) -> int:
    """Return match keys as bits; names that are not in ``MATCH_KEYS`` are left out."""
    bits = 0
    for name in names:
        bits |= _BITS.get(name, 0)
    return bits


def names_of(bits: int) -> tuple[str, ...]:
    """Return the names of the match keys that ``bits`` stand for, in the order of ``MATCH_KEYS``."""
    return tuple([name for name, bit in _BITS.items() if bits & bit])
