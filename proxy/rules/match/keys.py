"""From raw customer information to match keys: named, normalised, hashed.

This is the one place where contact data is read; what leaves it is SHA-256 in lower-case hex, ids that Meta wants in
the clear, and names of keys. Everything follows Meta's "Customer information parameters", except where a comment says
that the page is silent.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from proxy.rules import limits
from proxy.rules.effort import Effort
from proxy.rules.match import contact, location
from proxy.rules.match.text import (
    MAX_LENGTH,
    as_text,
    is_hash,
    is_nothing,
    is_other_digest,
    is_usable,
    passed_hash,
    sha256,
    trim,
)

Rule = Callable[[str, str], str | None]


def _anywhere(rule: Callable[[str], str | None]) -> Rule:
    return lambda text, _country: rule(text)


_RULES: Mapping[str, Rule] = {
    "em": _anywhere(contact.mail),
    "ph": contact.phone,
    "fn": _anywhere(contact.name),
    "ln": _anywhere(contact.name),
    "db": _anywhere(contact.birth_date),
    "ge": _anywhere(contact.gender),
    "ct": _anywhere(location.city),
    "st": location.state,
    "zp": location.postal_code,
    "country": _anywhere(location.country),
    "external_id": _anywhere(contact.identifier),
    # Only Meta's SDKs know the keys below; its page does not list them.
    "f5first": _anywhere(partial(contact.first_letters, count=5)),
    "f5last": _anywhere(partial(contact.first_letters, count=5)),
    "fi": _anywhere(partial(contact.first_letters, count=1)),
    "doby": _anywhere(partial(contact.part_of_date, low=1900, high=9999)),
    "dobm": _anywhere(partial(contact.part_of_date, low=1, high=12)),
    "dobd": _anywhere(partial(contact.part_of_date, low=1, high=31)),
    "app_user_id": _anywhere(contact.identifier),
}
# Units of effort for a value, and for each of its characters; libraries of their own read these.
_COSTS = {"ph": (600, 30), "db": (400, 20)}
_IDS = frozenset({"external_id", "app_user_id"})
_OF_BIRTH = frozenset({"db", "doby"})
# A name given as a number is a mistake; a number here is one that only lost its quotes.
# Names and places have fewer characters; others may have as many as any value.
_LONGEST, _LONG = 100, _IDS | {"em"}
_NUMERIC = _IDS | {"ph", "zp", "db", "doby", "dobm", "dobd"}
_PLAIN = (
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
_OF_THE_REQUEST = ("client_ip_address", "client_user_agent", "fbc", "fbp")

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
} | {name: key for key in (*_RULES, *_PLAIN) for name in (key, key.replace("_", ""))}

_SEPARATORS = re.compile(r"[\s_-]")
# An event with the keys of one of these sets, or fewer, is refused with subcode 2804050 (Meta, best practices, baseline
# requirements for matching).
_TOO_BROAD = (
    frozenset({"ct", "country", "st", "zp", "ge", "client_user_agent"}),
    frozenset({"db", "client_user_agent"}),
    frozenset({"fn", "ge"}),
    frozenset({"ln", "ge"}),
)
_ALL_KEYS = frozenset({*_RULES, *_PLAIN, *_OF_THE_REQUEST})
# Keys that no set has, the commonest first.
_TELLING = tuple(key for key in ("fbp", "external_id", *_ALL_KEYS) if not any(key in broad for broad in _TOO_BROAD))


class MatchKeys(NamedTuple):
    """What of one person's data may leave, by Meta's name for it."""

    hashed: Mapping[str, list[str]] = MappingProxyType({})
    """SHA-256 in lower-case hex, as given also with a ``.`` and Meta's 2 or 8 character appendix."""
    plain: Mapping[str, str | int] = MappingProxyType({})
    """Ids that Meta wants as they are."""
    rejected: tuple[str, ...] = ()
    """Keys that had a value of no use; for counting."""
    cut: tuple[str, ...] = ()
    """Keys that had more values than are read."""


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
    rule = _RULES.get(key) if key in _LONG or len(text) <= _LONGEST else None
    form = rule(text, country.lower()) if rule and is_usable(text) else None
    return None if form and key in _OF_BIRTH and int(form[:4]) > year else form


def match_keys(
    raw: Mapping[str, object], *, country: str = "", year: int = 9999, effort: Effort | None = None
) -> MatchKeys:
    """Return the match keys of customer information as a page or a server gave it.

    Values may be text, numbers, or lists of them; raw, or already hashed. Keys may have the names the browser Pixel
    accepts; unknown ones and those a request itself answers (addresses, user agent, ``fbc``, ``fbp``) are passed
    over. No input raises.

    Args:
        raw: The members of ``user_data``, or the third argument of ``fbq('init')``.
        country: Used where the data names no country of its own; ISO 3166-1 alpha-2.
        year: The current one, after which nobody was born.
        effort: What is left of the request's budget; a value that is beyond it is rejected. None: a whole budget.
    """
    effort = effort or Effort()
    given, cut = _by_key(raw)
    if not given:
        return NOTHING
    place = _place(given.get("country", ()), country)
    hashed = {
        key: [_digests(key, value, place, year, effort) for value in given[key]] for key in _RULES if key in given
    }
    plain = {key: [_plain(key, value) for value in given[key]] for key in _PLAIN if key in given}
    return MatchKeys(
        {key: found for key, digests in hashed.items() if (found := _distinct(digests))},
        {key: first for key, ids in plain.items() if (first := _first(ids))},
        tuple(key for key, values in (hashed | plain).items() if None in values),
        tuple(cut),
    )


def too_little(user_data: Mapping[str, object]) -> bool:
    """Tell whether Meta would refuse an event with these keys because they fit too many people.

    Source: Meta, best practices, baseline requirements for matching; a key without a value does not count.
    """
    if any(map(user_data.get, _TELLING)):
        return False
    present = {key for key, value in user_data.items() if value and key in _ALL_KEYS}
    return any(present <= broad for broad in _TOO_BROAD)


def _by_key(raw: Mapping[str, object]) -> tuple[dict[str, list[object]], dict[str, None]]:
    given: dict[str, list[object]] = {}
    cut: dict[str, None] = {}
    for name, value in raw.items():
        if key := _ALIASES.get(name) or _key(name):
            values = given.setdefault(key, [])
            values += value if isinstance(value, list | tuple) else [value]
            if len(values) > limits.VALUES:
                cut[key] = None
                del values[limits.VALUES :]
    return given, cut


def _key(name: str) -> str | None:
    return _ALIASES.get(_SEPARATORS.sub("", name).lower()) if len(name) <= 32 else None


def _place(stated: Iterable[object], default: str) -> str:
    """Return the country to read the other values by; one that is stated but not understood is no reason to guess."""
    for value in stated:
        text = trim(value)[:_LONGEST] if isinstance(value, str) else ""
        if not is_nothing(text):
            return location.country(text) or location.hashed_countries().get(text[:64].lower(), "")
    return location.country(default) or ""


def _digests(key: str, value: object, country: str, year: int, effort: Effort) -> tuple[str, ...] | None:
    """Return the hashes one value gives, none for an empty one, None for one that cannot be used."""
    text = as_text(value, numeric=key in _NUMERIC)
    if not text:
        return None if text is None else ()
    if is_hash(text):
        digest = passed_hash(text, is_id=key in _IDS)
        return (digest,) if digest else None
    if len(text) > MAX_LENGTH or (key not in _IDS and is_other_digest(text)):
        return None
    known = (key, text, country)
    if known in effort.digests:
        return effort.digests[known]
    found = _forms(key, text, country, year) if effort.spend(_cost(key, text)) else None
    effort.digests[known] = found
    return found


def _cost(key: str, text: str) -> int:
    """Return the units of effort that a value takes at most, as measured."""
    fixed, each = _COSTS.get(key, (40, 2))
    return fixed + (each if text.isascii() else each + 40) * len(text)


def _forms(key: str, text: str, country: str, year: int) -> tuple[str, ...] | None:
    form = normalise(key, text, country=country, year=year)
    if form is None:
        return None
    return tuple(map(sha256, location.city_forms(form))) if key == "ct" else (sha256(form),)


def _plain(key: str, value: object) -> str | int | None:
    """Return an id that stays as it is, "" for an empty one, None for one that cannot be used or is no id."""
    text = as_text(value, numeric=True)
    if not text:
        return text
    if not is_usable(text) or "@" in text or not text.strip("0-"):
        return None
    if len(text) > limits.ID or not text.isascii() or not text.isprintable():
        return None
    if key not in _PLAIN_INTEGERS:
        return text
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _distinct(digests: Iterable[tuple[str, ...] | None]) -> list[str]:
    return list(dict.fromkeys(digest for some in digests if some for digest in some))


def _first(ids: Iterable[str | int | None]) -> str | int | None:
    return next((one for one in ids if one), None)
