"""From raw customer information to match keys: named, normalised, hashed.

This is the one place where contact data is read; what leaves it is SHA-256 in lower-case hex, ids that Meta wants in
the clear, and names of keys. Everything follows Meta's "Customer information parameters", except where a comment says
that the page is silent.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from proxy.graph import law
from proxy.rules import limits
from proxy.rules.effort import Effort
from proxy.rules.match import contact, location
from proxy.rules.match.text import as_text, is_nothing, is_usable, trim

_LISTS = (list, tuple)
HASHED = (
    *("em", "ph", "fn", "ln", "db", "ge", "ct", "st", "zp", "country", "external_id"),
    # Only Meta's SDKs know these; its page does not list them.
    *("f5first", "f5last", "fi", "doby", "dobm", "dobd", "app_user_id"),
)
"""Keys whose values are hashed."""
PLAIN = (
    "subscription_id",
    "fb_login_id",
    "lead_id",
    "anon_id",
    "madid",
    "page_id",
    "page_scoped_user_id",
    "ctwa_clid",
    "ig_account_id",
    "ig_sid",
)
# Integers in Meta's page, text in its SDKs.
_PLAIN_INTEGERS = frozenset({"fb_login_id", "lead_id"})
# JavaScript rounds larger whole numbers, so that such an id may be another person's; an id that is a text is exact.
_MOST_EXACT = 2**53 - 1

# Names the browser Pixel takes for the documented ones, and their usual variants, without case, "_", "-" and blanks.
_ALIASES: Mapping[str, str] = {
    alias: key
    for key, aliases in {
        "em": "email emailaddress",
        "ph": "phone phonenumber pn",
        "fn": "firstname fname",
        "ln": "lastname lname",
        "ge": "gender gen",
        "db": "dob birthday birthdate dateofbirth bd",
        "ct": "city",
        "st": "state",
        "zp": "zip zipcode postal postalcode postcode",
        "country": "cn countrycode",
        "external_id": "externid userid",
    }.items()
    for alias in aliases.split()
} | {name: key for key in (*HASHED, *PLAIN) for name in (key, key.replace("_", ""))}

_SEPARATORS = re.compile(r"[\s_-]")


class MatchKeys(NamedTuple):
    """The match keys of one person, by Meta's names."""

    hashed: Mapping[str, list[str]] = MappingProxyType({})
    """SHA-256 in lower-case hex; a hash that was given hashed keeps its ``.`` and Meta's appendix of 2 or 8
    characters."""
    plain: Mapping[str, str | int] = MappingProxyType({})
    """Ids that Meta wants as they are."""
    rejected: tuple[str, ...] = ()
    """Keys that had an unusable value; for counting."""
    cut: tuple[str, ...] = ()
    """Keys that had more values than are read."""

    @property
    def findings(self) -> tuple[str, ...]:
        """The keys that had an unusable value, and those that had more values than are read, as findings."""
        return (*(f"{key}:unusable" for key in self.rejected), *(f"{key}:cut" for key in self.cut))


NOTHING = MatchKeys()


def normalise(key: str, value: str, *, country: str = "", year: int = 9999) -> str | None:
    """Return the text whose SHA-256 Meta expects for a raw value, or None if it has no certain form.

    Args:
        key: Meta's name of a hashed key; any other has no form.
        value: The raw value, not a hash.
        country: Where the value belongs, for ``ph``, ``st`` and ``zp``; ISO 3166-1 alpha-2, "" unknown.
        year: The current one, after which nobody was born.
    """
    text = trim(value)
    if key not in HASHED or not is_usable(text):
        return None
    return contact.form(key, text, country.lower(), year)


def match_keys(
    customer_information: Mapping[str, object], *, country: str = "", year: int = 9999, effort: Effort | None = None
) -> MatchKeys:
    """Return the match keys of customer information as a page or a server gave it.

    Values may be text, numbers, or lists of them; raw, or already hashed. Keys may have the names the browser Pixel
    accepts; unknown ones are ignored, and so are those whose values come from the request itself (IP address, user
    agent, ``fbc``, ``fbp``). No input raises.

    Args:
        customer_information: The members of ``user_data``, or the third argument of ``fbq('init')``.
        country: Used where the data names no country of its own; ISO 3166-1 alpha-2.
        year: The current one, after which nobody was born.
        effort: What is left of the request's budget; a value that is beyond it is rejected. None: a whole budget.
    """
    values, cut = _by_key(customer_information)
    if not values:
        return NOTHING
    raw = {key: values[key] for key in HASHED if key in values}
    place = _country(values.get("country", ()), country)
    hashed, hashed_rejected = contact.hashed(raw, place, year, effort or Effort())
    plain, plain_rejected = _plain(values)
    return MatchKeys(hashed, plain, (*hashed_rejected, *plain_rejected), tuple(cut))


def _by_key(customer_information: Mapping[str, object]) -> tuple[dict[str, Sequence[object]], dict[str, None]]:
    """Return the values of each key, as many as are read, and the keys that had more."""
    by_key: dict[str, Sequence[object]] = {}
    cut: dict[str, None] = {}
    for name, value in customer_information.items():
        key = _ALIASES.get(name) or _key(name)
        if key is None:
            continue
        values: Sequence[object] = value if isinstance(value, _LISTS) else (value,)
        if key in by_key:
            values = (*by_key[key], *values)
        if len(values) > limits.VALUES:
            cut[key] = None
            values = values[: limits.VALUES]
        by_key[key] = values
    return by_key, cut


def _key(name: str) -> str | None:
    return _ALIASES.get(_SEPARATORS.sub("", name).lower()) if len(name) <= 32 else None


def _country(stated: Iterable[object], default: str) -> str:
    """Return the country to read the other values by; "" if the stated one is not understood, rather than a guess."""
    for value in stated:
        text = trim(value)[: contact.LONGEST] if isinstance(value, str) else ""
        if not is_nothing(text):
            return location.country(text) or location.hashed_countries().get(text[:64].lower(), "")
    return (location.country(default) or "") if default else ""


def _plain(values: Mapping[str, Sequence[object]]) -> tuple[dict[str, str | int], list[str]]:
    """Return the ids that stay as they are, the first of each key, and the keys that had a value of no use."""
    plain: dict[str, str | int] = {}
    rejected: list[str] = []
    if values.keys().isdisjoint(PLAIN):
        return plain, rejected
    for key in PLAIN:
        if key in values:
            ids = [_plain_id(key, value) for value in values[key]]
            if first := next((id_ for id_ in ids if id_), None):
                plain[key] = first
            if None in ids:
                rejected.append(key)
    return plain, rejected


def _plain_id(key: str, value: object) -> str | int | None:
    """Return an id that stays as it is, "" for an empty one, None for one that cannot be used or is no id."""
    text = as_text(value, numeric=True)
    if not text:
        return text
    if not is_usable(text) or "@" in text or not text.strip("0-"):
        return None
    if len(text) > limits.ID or not text.isascii() or not text.isprintable():
        return None
    return _integer_id(key, value, text) if key in _PLAIN_INTEGERS else text


def _integer_id(key: str, value: object, text: str) -> int | None:
    if isinstance(value, int) and value > _MOST_EXACT:
        return None
    if key == "lead_id":
        return int(text) if law.LEAD_ID.fullmatch(text) else None
    return int(text) if text.isdigit() and len(text) <= 18 else None
