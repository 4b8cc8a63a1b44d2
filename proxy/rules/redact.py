"""What of addresses and custom data may leave: an allow-list of an address's parts, and nobody's secrets anywhere.

No call raises, and cleaning what is clean changes nothing.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from proxy.rules.shapes import Shape, hints, is_key, shape_of

REDACTED = "%5Bredacted%5D"
"""``[redacted]`` as it stands in an address."""
_REDACTED_TEXT = "[redacted]"

# What was removed for another reason than its shape.
USER, FRAGMENT, PARAMETER, KEY = "user", "fragment", "parameter", "key"

# Not urlsplit, which keeps what it parsed in a cache of its own. As in browsers (WHATWG, URL), a backslash is a slash,
# and tabs and line ends are not there.
_URL = re.compile(
    r"""(?P<scheme>[Hh][Tt][Tt][Pp][Ss]?)://
        (?:(?P<user>[^/?#]*)@)?
        (?P<host>\[[0-9A-Fa-f:.]+\]|[^\s\x00-\x20\x7f/?#@:\[\]<>"'`{}|^%\\]+)
        (?::(?P<port>[0-9]{0,5}))?
        (?P<path>/[^?#]*)?
        (?:\?(?P<query>[^#]*))?
        (?:\#(?P<fragment>.*))?""",
    re.VERBOSE | re.DOTALL,
)
_NOT_THERE = str.maketrans("", "", "\t\r\n")
_UNENCODABLE = re.compile(r"[\ud800-\udfff]")
_PLUS_FOR_BLANK = re.compile(r"(?<=[A-Za-z0-9])\+")
_POSITION = re.compile(r"/-?[0-9]{1,3}\.[0-9]{3,17}/-?[0-9]{1,3}\.[0-9]{3,17}(?=/|$)")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS = re.compile(r"[\W_]+")
# What follows one of these in a path is how somebody is let in.
_BEFORE_KEYS = frozenset({
    "activate", "activation", "auth", "confirm", "confirmation", "forgot-password", "invitation", "invitations",
    "invite", "invites", "login", "magic", "magic-link", "magiclink", "oauth", "otp", "password", "password-reset",
    "recover", "reset", "reset-password", "resetpassword", "session", "sessions", "signin", "sso", "token", "tokens",
    "unsubscribe", "verification", "verify", "verify-email",
})  # fmt: skip
# Custom data that names goods and orders (Meta, custom data parameters, and what shops call the same).
_IDS = frozenset({
    "content_id", "content_ids", "ean", "gtin", "id", "ids", "isbn", "item_group_id", "item_id", "mpn", "order_id",
    "product_id", "product_ids", "sku", "transaction_id", "variant_id",
})  # fmt: skip
_DEFAULT_PORTS = {"http": "80", "https": "443"}


class Limits(NamedTuple):
    """What the owner of a site lets leave, and never lets leave; made by ``limits_of``."""

    keep: frozenset[str]
    """Query parameters that may stay; case-sensitive, none of them blocked."""
    block: frozenset[str]
    """Parameters and members of custom data that never stay, as ``settings.folded`` writes them."""


@lru_cache(maxsize=256)
def limits_of(keep: frozenset[str], block: frozenset[str]) -> Limits:
    """Return the limits for a site; a blocked parameter is not kept, whoever listed it."""
    return Limits(frozenset(name for name in keep if not _is_blocked(name, block)), block)


class Cleaned(NamedTuple):
    """What may leave, and for what each removed part was taken."""

    value: Any
    removed: tuple[str, ...] = ()


def clean_url(url: str, limits: Limits) -> Cleaned:
    """Return the address without user, fragment, and query parameters that may not stay.

    Kept parameters keep their order and encoding. A path segment or parameter value that holds a secret becomes
    ``[redacted]``. What is no http(s) address becomes "".
    """
    removed: list[str] = []
    return Cleaned(_clean_url(url, limits, removed), tuple(removed))


def clean_data(data: Mapping[str, Any], limits: Limits) -> Cleaned:
    """Return custom data without blocked members and with each text or name that holds a secret ``[redacted]``.

    A text that is an address is cleaned as one. Texts that name products and orders keep everything but what is a
    secret beyond doubt.
    """
    if not data:
        return Cleaned({})
    removed: list[str] = []
    return Cleaned(_clean_members(data, limits, removed), tuple(removed))


def _clean_url(url: str, limits: Limits, removed: list[str]) -> str:
    match = _parse(url)
    if match is None:
        return ""
    scheme, user, host, port, path, query, fragment = match.groups()
    if user:
        removed.append(USER)
    if fragment:
        removed.append(FRAGMENT)
    authority = f"{host}:{port}" if port else host
    kept = _clean_query(query, limits, removed) if query else ""
    return f"{scheme.lower()}://{authority}{_clean_path(path or '', removed)}{'?' + kept if kept else ''}".rstrip()


def _clean_path(path: str, removed: list[str]) -> str:
    if _BEFORE_KEYS.isdisjoint(path.lower().split("/")) and not hints(path):
        return path
    segments = path.split("/")
    if _POSITION.search(path):
        removed.append(Shape.COORDINATES)
        segments = _POSITION.sub(f"/{REDACTED}/{REDACTED}", path).split("/")
    before = ("", *segments)
    return "/".join(_clean_segment(one, other, removed) for one, other in zip(before, segments, strict=False))


def _clean_segment(before: str, segment: str, removed: list[str]) -> str:
    shape = shape_of(segment)
    if shape is None and before.lower() in _BEFORE_KEYS and is_key(segment):
        shape = Shape.TOKEN
    if shape is None:
        return segment
    removed.append(shape)
    return REDACTED


def _clean_query(query: str, limits: Limits, removed: list[str]) -> str:
    kept = []
    for parameter in query.split("&"):
        name, equals, value = parameter.partition("=")
        plain = unquote_plus(name) if "%" in name or "+" in name else name
        # The click id is read elsewhere, and goes to Meta as fbc.
        if plain == "fbclid":
            continue
        shape = shape_of(_PLUS_FOR_BLANK.sub(" ", value) if "+" in value else value)
        if plain not in limits.keep:
            removed.append(shape or (KEY if _is_blocked(plain, limits.block) else PARAMETER))
        elif shape is None:
            kept.append(parameter)
        else:
            removed.append(shape)
            kept.append(name + equals + REDACTED)
    return "&".join(kept)


def _clean_members(data: Mapping[str, Any], limits: Limits, removed: list[str]) -> dict[str, Any]:
    clean = {}
    for name, value in data.items():
        public = _clean_text(name, removed, is_id=False)
        if _is_blocked(public, limits.block):
            removed.append(KEY)
        else:
            clean[public] = _clean_value(value, limits, removed, is_id=name in _IDS)
    return clean


def _clean_value(value: Any, limits: Limits, removed: list[str], *, is_id: bool) -> Any:
    if isinstance(value, str):
        address = _clean_url(value, limits, removed) if value[:4].lower() == "http" else ""
        return address or _clean_text(value, removed, is_id=is_id)
    if isinstance(value, dict):
        return _clean_members(value, limits, removed)
    if isinstance(value, list):
        return [_clean_value(one, limits, removed, is_id=is_id) for one in value]
    # A number as long as those of cards; a float has no such digits.
    if isinstance(value, int) and value >= 10**13 and shape_of(str(value), is_id=is_id):
        return _clean_text(str(value), removed, is_id=is_id)
    return value


def _clean_text(text: str, removed: list[str], *, is_id: bool) -> str:
    shape = shape_of(text, is_id=is_id)
    if shape is None:
        return text
    removed.append(shape)
    return _REDACTED_TEXT


# Pages use few names, and no name with a secret in it comes here from custom data.
@lru_cache(maxsize=1024)
def _is_blocked(name: str, block: frozenset[str]) -> bool:
    """Tell whether a name or its last word is blocked: ``email``, ``e-mail``, ``billingEmail``, ``user[email]``."""
    words = _SEPARATORS.sub("_", _CAMEL.sub("_", name)).strip("_").lower()
    return words.rpartition("_")[2] in block or words.replace("_", "") in block


def origin_of(url: str) -> str:
    """Return scheme, host and port of an http(s) address as browsers write an origin (WHATWG, HTML), or ""."""
    match = _parse(url)
    if match is None:
        return ""
    scheme, port = match["scheme"].lower(), match["port"]
    suffix = f":{port}" if port and port != _DEFAULT_PORTS[scheme] else ""
    return f"{scheme}://{match['host'].lower()}{suffix}"


def _parse(url: str) -> re.Match[str] | None:
    text = url.strip()
    if not text.isprintable():
        text = url.translate(_NOT_THERE).strip()
        if _UNENCODABLE.search(text):
            return None
    if "\\" in text:
        front, mark, rest = text.partition("?")
        text = front.replace("\\", "/") + mark + rest
    match = _URL.fullmatch(text)
    return match if match and int(match["port"] or 0) < 2**16 else None
