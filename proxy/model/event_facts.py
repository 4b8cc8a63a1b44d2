"""What is kept of an event for the ledger's figures: nothing of it is personal, and nothing says what a value was.

It is filled in by the rules, rests with the event, and goes into its ledger row when it ends.
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

Their order is fixed: bits that rest in files are counted by it, so a new one goes to the end.
"""
PARTS: Final = 10_000
"""Of one unit of a currency, in which values are counted, so that sums are exact."""
_BITS: Final = {name: 1 << place for place, name in enumerate(MATCH_KEYS)}


class EventFacts(NamedTuple):
    """What the ledger keeps of an event beside its identity and its fate."""

    site: str = ""
    """The name of its site."""
    match_keys: int = 0
    """Which match keys its payload carries, as ``bits_of`` says it."""
    consent: str = ""
    """What was known of consent when it arrived: a word of ``Consent``; ``not_asked`` where a server answers for it."""
    consent_source: str = ""
    """What said so: ``pixel`` or the consent managers that the tag asks (``usercentrics+tcf``); of a silent page the
    site's setting, ``pixel`` or ``required``; ``visitor_cookie`` of a withdrawal on an earlier page; or ``server``."""
    redactions: tuple[str, ...] = ()
    """What was taken out, and where, such as ``email:url``."""
    value: int | None = None
    """The value of its custom data in ten-thousandths of the currency; None where it has none that can be summed."""
    currency: str = ""
    """Of the value; empty where it has none."""


NO_FACTS: Final = EventFacts()
"""Of events that were stored before facts were kept."""


def bits_of(names: Iterable[str]) -> int:
    """Return match keys as bits; names that are none are left out."""
    bits = 0
    for name in names:
        bits |= _BITS.get(name, 0)
    return bits


def names_of(bits: int) -> tuple[str, ...]:
    """Return the names of match keys, in the order of ``MATCH_KEYS``."""
    return tuple([name for name, bit in _BITS.items() if bits & bit])
