"""What of addresses and custom data may leave: an allow-list of an address's parts, and nobody's secrets anywhere.

No call raises, and cleaning what is clean changes nothing.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

import orjson

from proxy.rules.effort import Effort
from proxy.rules.payload.secret_shapes import Shape, is_key, may_hold_shapes, shape_of

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
_PORT = _URL.groupindex["port"]
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
# Characters of an address that is looked at; the wire has none that is longer.
_LONGEST = 8192
# Characters of a name whose answer is remembered; pages use a few dozen names.
_SHORT = 32
# Segments of a path and parameters of a query that are looked at.
_MOST_PARTS = 100
_ADDRESS_IN_JSON = re.compile(rb'"http', re.IGNORECASE)
_HTTP = frozenset(map("".join, product("Hh", "Tt", "Tt", "Pp")))
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


def clean_url(url: str, limits: Limits, effort: Effort) -> Cleaned:
    """Return the address without user, fragment, and query parameters that may not stay.

    Kept parameters keep their order and encoding. A path segment or parameter value that holds a secret, or cannot be
    read with what is left of the effort, becomes ``[redacted]``. What is no http(s) address becomes "".
    """
    cleaner = _Cleaner(limits, effort)
    return Cleaned(cleaner.url(url), tuple(cleaner.removed))


def clean_data(data: Mapping[str, Any], limits: Limits, effort: Effort) -> Cleaned:
    """Return custom data without blocked members and with each text or name that holds a secret ``[redacted]``.

    A text that is an address is cleaned as one. Texts that name products and orders keep everything but what is a
    secret beyond doubt. What cannot be read with what is left of the effort is taken for a secret.
    """
    if not data:
        return Cleaned({})
    cleaner = _Cleaner(limits, effort)
    try:
        written = orjson.dumps(data)
    except TypeError:  # what cannot be written as JSON
        return Cleaned(cleaner.members(data), tuple(cleaner.removed))
    # What JSON escapes has other neighbours there than in its text.
    cleaner.reads = b"\\" in written or may_hold_shapes(written)
    cleaner.has_addresses = _ADDRESS_IN_JSON.search(written) is not None
    return Cleaned(cleaner.members(data), tuple(cleaner.removed))


class _Cleaner:
    """Goes through one address or one event's data."""

    def __init__(self, limits: Limits, effort: Effort) -> None:
        self._limits = limits
        self._effort = effort
        self.removed: list[str] = []
        self.reads = True
        """False where no text holds any shape, so that none needs to be read."""
        self.has_addresses = True
        """False where none is among the values."""

    def url(self, url: str) -> str:
        match = _parse(url)
        if match is None:
            return ""
        scheme, user, host, port, path, query, fragment = match.groups("")
        if user:
            self.removed.append(USER)
        if fragment:
            self.removed.append(FRAGMENT)
        if query or not _is_plain(path):
            reads = self.reads and may_hold_shapes(f"{path.replace('/', ' ')}?{_blanks(query)}".encode())
        else:
            reads = False
        kept = self._query(query, reads=reads) if query else ""
        authority = f"{host}:{port}" if port else host
        return f"{scheme.lower()}://{authority}{self._path(path, reads=reads)}{'?' + kept if kept else ''}".rstrip()

    def _path(self, path: str, *, reads: bool) -> str:
        if not reads and _BEFORE_KEYS.isdisjoint(path.lower().split("/", _MOST_PARTS)):
            return path
        if path.count("/") > _MOST_PARTS:
            self.removed.append(Shape.UNREAD)
            return f"/{REDACTED}"
        if _POSITION.search(path):
            self.removed.append(Shape.COORDINATES)
            path = _POSITION.sub(f"/{REDACTED}/{REDACTED}", path)
        segments = path.split("/")
        return "/".join(self._segment(before, one) for before, one in zip(("", *segments), segments, strict=False))

    def _segment(self, before: str, segment: str) -> str:
        shape = shape_of(segment, self._effort)
        if shape is None and before.lower() in _BEFORE_KEYS and is_key(segment):
            shape = Shape.TOKEN
        if shape is None:
            return segment
        self.removed.append(shape)
        return REDACTED

    def _query(self, query: str, *, reads: bool) -> str:
        parameters = query.split("&", _MOST_PARTS)
        if len(parameters) > _MOST_PARTS:
            self.removed.append(Shape.UNREAD)
            del parameters[_MOST_PARTS:]
        kept = []
        for parameter in parameters:
            name, equals, value = parameter.partition("=")
            plain = unquote_plus(name) if "%" in name or "+" in name else name
            # The click id is read elsewhere, and goes to Meta as fbc.
            if plain == "fbclid":
                continue
            shape = shape_of(_blanks(value), self._effort) if reads else None
            if plain not in self._limits.keep:
                self.removed.append(shape or (KEY if self._is_blocked(plain) else PARAMETER))
            elif shape is None:
                kept.append(parameter)
            else:
                self.removed.append(shape)
                kept.append(name + equals + REDACTED)
        return "&".join(kept)

    def _is_blocked(self, name: str) -> bool:
        if len(name) <= _SHORT:
            return _is_short_blocked(name, self._limits.block)
        known = self._effort.blocked
        if name not in known:
            known[name] = _is_blocked(name, self._limits.block)
        return known[name]

    def members(self, data: Mapping[str, Any]) -> dict[str, Any]:
        if not self.reads and not self.has_addresses:
            return self._named(data)
        clean = {}
        for name, value in data.items():
            public = self._text(name) if self.reads else name
            if self._is_blocked(public):
                self.removed.append(KEY)
            else:
                clean[public] = self._value(value, is_id=name in _IDS)
        return clean

    def _named(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return data whose names alone matter."""
        clean = {name: self._within(value) for name, value in data.items() if not self._is_blocked(name)}
        self.removed += [KEY] * (len(data) - len(clean))
        return clean

    def _within(self, value: Any) -> Any:
        if type(value) is dict:
            return self._named(value)
        return [self._within(one) for one in value] if type(value) is list else value

    def _value(self, value: Any, *, is_id: bool) -> Any:
        if isinstance(value, str):
            address = self.url(value) if value[:4] in _HTTP else ""
            return address or (self._text(value, is_id=is_id) if self.reads else value)
        if isinstance(value, dict):
            return self.members(value)
        if isinstance(value, list):
            return [self._value(one, is_id=is_id) for one in value]
        # A number as long as those of cards; a float has no such digits.
        if self.reads and isinstance(value, int) and value >= 10**13:
            text = str(value)
            return value if self._text(text, is_id=is_id) is text else _REDACTED_TEXT
        return value

    def _text(self, text: str, *, is_id: bool = False) -> str:
        shape = shape_of(text, self._effort, is_id=is_id) if self.reads else None
        if shape is None:
            return text
        self.removed.append(shape)
        return _REDACTED_TEXT


def _is_plain(path: str) -> bool:
    """Tell whether a path has no segments but ASCII words in lower case, which hold no shape."""
    words = path.replace("/", "")
    return not words or (words.isascii() and words.islower() and words.isalpha())


def _blanks(value: str) -> str:
    return _PLUS_FOR_BLANK.sub(" ", value) if "+" in value else value


def _is_blocked(name: str, block: frozenset[str]) -> bool:
    """Tell whether a name or its last word is blocked: ``email``, ``e-mail``, ``billingEmail``, ``user[email]``."""
    words = name if name.islower() and name.isidentifier() else _CAMEL.sub("_", name).lower()
    if not words.isidentifier():
        words = _SEPARATORS.sub("_", words)
    words = words.strip("_")
    return words.rpartition("_")[2] in block or words.replace("_", "") in block


_is_short_blocked = lru_cache(maxsize=1024)(_is_blocked)


def origin_of(url: str) -> str:
    """Return scheme, host and port of an http(s) address as browsers write an origin (WHATWG, HTML), or ""."""
    match = _parse(url)
    if match is None:
        return ""
    scheme, port = match["scheme"].lower(), match["port"]
    suffix = f":{port}" if port and port != _DEFAULT_PORTS[scheme] else ""
    return f"{scheme}://{match['host'].lower()}{suffix}"


def _parse(url: str) -> re.Match[str] | None:
    if len(url) > _LONGEST:
        return None
    text = url.strip()
    if not text.isprintable():
        text = url.translate(_NOT_THERE).strip()
        if _UNENCODABLE.search(text):
            return None
    if "\\" in text:
        front, mark, rest = text.partition("?")
        text = front.replace("\\", "/") + mark + rest
    match = _URL.fullmatch(text)
    return match if match and (not match[_PORT] or int(match[_PORT]) < 2**16) else None
