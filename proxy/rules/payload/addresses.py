"""Addresses of pages: which of their parts may leave, by an allow-list, without the secrets that those hold.

No call raises, and cleaning what is clean changes nothing.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote_plus

from proxy.rules.effort import Effort
from proxy.rules.payload.names import Allowed, is_blocked
from proxy.rules.payload.random_keys import is_key
from proxy.rules.payload.secret_shapes import may_hold_shapes, shape_of
from proxy.rules.payload.shape_patterns import Shape, has_suspects

REDACTED = "%5Bredacted%5D"
"""``[redacted]`` as it stands in an address."""

_CLICK = "fbclid"  # the click id is read elsewhere, and goes to Meta as fbc
# Reasons why a part is removed, other than its shape.
USER, FRAGMENT, PARAMETER, KEY = "user", "fragment", "parameter", "key"

# Not urlsplit, which keeps what it parsed in a cache of its own. As in browsers (WHATWG, URL), a backslash is a slash,
# and tabs and line ends are ignored.
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
# Most pages: nothing encoded, no user, port or fragment. Whatever else may stand there is read by the pattern above.
_PLAIN_PAGE = re.compile(r"(https?://[a-z0-9.-]++)((?:/[A-Za-z0-9/._~-]*+)?+)(?:\?([A-Za-z0-9._~=&-]*+))?")
# Most referrers: a site, or words in lower case on it, in which no shape is.
_PLAIN_URL = re.compile(r"https?://[a-z0-9.-]++(?:/[a-z]++)*+/?")
_NOT_THERE = str.maketrans("", "", "\t\r\n")
_UNENCODABLE = re.compile(r"[\ud800-\udfff]")
_PLUS_FOR_BLANK = re.compile(r"(?<=[A-Za-z0-9])\+")
_POSITION = re.compile(r"/-?[0-9]{1,3}\.[0-9]{3,17}/-?[0-9]{1,3}\.[0-9]{3,17}(?=/|$)")
# The path segment after one of these may be a key that lets somebody in.
_BEFORE_KEYS = frozenset({
    "activate", "activation", "auth", "confirm", "confirmation", "forgot-password", "invitation", "invitations",
    "invite", "invites", "login", "magic", "magic-link", "magiclink", "oauth", "otp", "password", "password-reset",
    "recover", "reset", "reset-password", "resetpassword", "session", "sessions", "signin", "sso", "token", "tokens",
    "unsubscribe", "verification", "verify", "verify-email",
})  # fmt: skip
# The most characters of an address that is read; requests hold no longer ones.
_LONGEST = 8192
# Segments of a path and parameters of a query that are looked at.
_MOST_PARTS = 100
# Units of effort for the name of a parameter that is new to the request: a body holds thousands.
_NAME = 30
_DEFAULT_PORTS = {"http": "80", "https": "443"}

REASONS = (USER, FRAGMENT, PARAMETER, KEY, *Shape)
"""All reasons why a part of an address or of custom data may be removed."""


class CleanAddress(NamedTuple):
    """The part of an address that may leave, and the reason for each removed part."""

    url: str
    removed: tuple[str, ...] = ()


def clean_urls(urls: Iterable[str], allowed: Allowed, effort: Effort) -> list[CleanAddress]:
    """Return addresses without user, fragment, and query parameters that may not stay.

    Kept parameters keep their order and encoding. A path segment or parameter value that holds a secret, or cannot be
    read with what is left of the effort, becomes ``[redacted]``. What is no http(s) address becomes "".

    Args:
        urls: Any texts.
        allowed: What the site lets leave.
        effort: What is left of the request's budget.
    """
    removed: list[str] = []
    cleaner, clean = AddressCleaner(allowed, effort, removed), []
    for url in urls:
        clean.append(CleanAddress(cleaner.clean(url), tuple(removed)))
        removed.clear()
    return clean


class AddressCleaner:
    """Cleans addresses with one request's budget, and notes what it took out."""

    def __init__(self, allowed: Allowed, effort: Effort, removed: list[str], *, reads: bool = True) -> None:
        """Begin with a budget.

        Args:
            allowed: What the site lets leave.
            effort: What is left of the budget.
            removed: The list to which the reason for each removed part is added.
            reads: False if it is known that no address holds a shape, so that none needs to be read.
        """
        self._allowed = allowed
        self._effort = effort
        self._removed = removed
        self._reads = reads

    def clean(self, url: str) -> str:
        """Return the part of an address that may leave; "" for a text that is no address."""
        if len(url) > _LONGEST:
            return ""
        if "?" not in url and _PLAIN_URL.fullmatch(url) and _BEFORE_KEYS.isdisjoint(url.split("/")):
            return url
        return self._clean_plain(url) or self._clean_any(url)

    def _clean_plain(self, url: str) -> str:
        """Return the same for a usual page without shapes and keys; "" for an address that has to be read closely."""
        match = _PLAIN_PAGE.fullmatch(url)
        if match is None:
            return ""
        site, path, query = match.groups("")
        if self._reads and has_suspects(f"{path.replace('/', ' ')}?{query}"):
            return ""
        if len(url) > _MOST_PARTS and url.count("&") + url.count("/") > _MOST_PARTS:
            return ""
        if not _BEFORE_KEYS.isdisjoint(path.lower().split("/")):
            return ""
        clean_query = self._plain_query(query) if query else ""
        return f"{site}{path}?{clean_query}" if clean_query else site + path

    def _plain_query(self, query: str) -> str:
        keep, parts = self._allowed.keep, []
        for parameter in query.split("&"):
            name = parameter.partition("=")[0]
            if name == _CLICK:
                continue
            if name in keep:
                parts.append(parameter)
            else:
                self._removed.append(KEY if self._is_blocked(name) else PARAMETER)
        return "&".join(parts)

    def _clean_any(self, url: str) -> str:
        match = _parse(url)
        if match is None:
            return ""
        scheme, user, host, port, path, query, fragment = match.groups("")
        if user:
            self._removed.append(USER)
        if fragment:
            self._removed.append(FRAGMENT)
        if query or not _is_plain(path):
            reads = self._reads and _may_hold_shapes(f"{path.replace('/', ' ')}?{_blanks(query)}")
        else:
            reads = False
        clean_query = self._query(query, reads=reads) if query else ""
        authority = f"{host}:{port}" if port else host
        address = f"{scheme.lower()}://{authority}{self._path(path, reads=reads)}"
        return f"{address}?{clean_query}".rstrip() if clean_query else address.rstrip()

    def _path(self, path: str, *, reads: bool) -> str:
        if not reads and _BEFORE_KEYS.isdisjoint(path.lower().split("/", _MOST_PARTS)):
            return path
        if path.count("/") > _MOST_PARTS:
            self._removed.append(Shape.UNREAD)
            return f"/{REDACTED}"
        if _POSITION.search(path):
            self._removed.append(Shape.COORDINATES)
            path = _POSITION.sub(f"/{REDACTED}/{REDACTED}", path)
        segments = path.split("/")
        return "/".join(
            self._segment(before, segment) for before, segment in zip(("", *segments), segments, strict=False)
        )

    def _segment(self, before: str, segment: str) -> str:
        shape = shape_of(segment, self._effort)
        if shape is None and before.lower() in _BEFORE_KEYS and is_key(segment):
            shape = Shape.TOKEN
        if shape is None:
            return segment
        self._removed.append(shape)
        return REDACTED

    def _query(self, query: str, *, reads: bool) -> str:
        parameters = query.split("&", _MOST_PARTS)
        if len(parameters) > _MOST_PARTS:
            self._removed.append(Shape.UNREAD)
            del parameters[_MOST_PARTS:]
        parts = []
        for parameter in parameters:
            name, equals, value = parameter.partition("=")
            plain = unquote_plus(name) if "%" in name or "+" in name else name
            if plain == _CLICK:
                continue
            shape = shape_of(_blanks(value), self._effort) if reads else None
            if plain not in self._allowed.keep:
                self._removed.append(shape or (KEY if self._is_blocked(plain) else PARAMETER))
            elif shape is None:
                parts.append(parameter)
            else:
                self._removed.append(shape)
                parts.append(name + equals + REDACTED)
        return "&".join(parts)

    def _is_blocked(self, name: str) -> bool:
        blocked = self._effort.blocked
        if name not in blocked:
            self._effort.left -= _NAME
            blocked[name] = is_blocked(name, self._allowed.block, self._effort)
        return blocked[name]


def _may_hold_shapes(text: str) -> bool:
    """Do the same as ``may_hold_shapes``, with a shortcut for ASCII."""
    return has_suspects(text) if text.isascii() else may_hold_shapes(text)


def _is_plain(path: str) -> bool:
    """Tell whether a path has no segments but ASCII words in lower case, which hold no shape."""
    words = path.replace("/", "")
    return not words or (words.isascii() and words.islower() and words.isalpha())


def _blanks(value: str) -> str:
    return _PLUS_FOR_BLANK.sub(" ", value) if "+" in value else value


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
