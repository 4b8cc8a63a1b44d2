"""What of addresses and custom data may leave: an allow-list of an address's parts, and no mail address anywhere.

No call raises, and cleaning what is clean changes nothing.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, unquote_plus

REDACTED = "%5Bredacted%5D"
"""``[redacted]`` as it stands in an address."""

# Not urlsplit, which keeps what it parsed in a cache of its own. As in browsers (WHATWG, URL), a backslash is a slash,
# and tabs and line ends are not there.
_URL = re.compile(
    r"""(?P<scheme>https?)://
        (?:[^/?#]*@)?
        (?P<host>\[[0-9a-f:.]+\]|[^\s\x00-\x20\x7f/?#@:\[\]<>"'`{}|^%\\]+)
        (?::(?P<port>[0-9]{0,5}))?
        (?P<path>/[^?#]*)?
        (?:\?(?P<query>[^#]*))?
        (?:\#.*)?""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_NOT_THERE = str.maketrans("", "", "\t\r\n")
_UNENCODABLE = re.compile(r"[\ud800-\udfff]")
# One character before the at sign is proof enough; looking for more of them would cost time squared.
_MAIL = re.compile(r"[^\s@/]@[^\s@/]+\.[^\W\d_]{2}")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def clean_url(url: str, keep: frozenset[str]) -> str:
    """Return the address without user, fragment, and query parameters that are not in ``keep``.

    Names in ``keep`` are case-sensitive; parameters keep their order and encoding. A path segment or parameter value
    that holds a mail address, plain or percent-encoded, becomes ``[redacted]``. What is no http(s) address becomes "".
    """
    match = _parse(url)
    if match is None:
        return ""
    authority = f"{match['host']}:{match['port']}" if match["port"] else match["host"]
    path = "/".join(_clean(segment) for segment in (match["path"] or "").split("/"))
    query = "&".join(_clean_parameter(p) for p in (match["query"] or "").split("&") if _name(p) in keep)
    return f"{match['scheme'].lower()}://{authority}{path}{'?' + query if query else ''}".rstrip()


def clean_data(data: Any) -> Any:
    """Return custom data with each text that holds a mail address replaced by ``[redacted]``, at any depth."""
    if isinstance(data, str):
        return "[redacted]" if "@" in data and _MAIL.search(data) else data
    if isinstance(data, Mapping):
        return {name: clean_data(value) for name, value in data.items()}
    return [clean_data(value) for value in data] if isinstance(data, list) else data


def origin_of(url: str) -> str:
    """Return scheme, host and port of an http(s) address as browsers write an origin (WHATWG, HTML), or ""."""
    match = _parse(url)
    if match is None:
        return ""
    scheme, port = match["scheme"].lower(), match["port"]
    suffix = f":{port}" if port and port != _DEFAULT_PORTS[scheme] else ""
    return f"{scheme}://{match['host'].lower()}{suffix}"


def _parse(url: str) -> re.Match[str] | None:
    text = url.translate(_NOT_THERE).strip()
    if _UNENCODABLE.search(text):
        return None
    front, mark, rest = text.partition("?")
    match = _URL.fullmatch(front.replace("\\", "/") + mark + rest)
    return match if match and int(match["port"] or 0) < 2**16 else None


def _name(parameter: str) -> str:
    return unquote_plus(parameter.partition("=")[0])


def _clean_parameter(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    return name + equals + _clean(value)


def _clean(part: str) -> str:
    return REDACTED if "@" in (plain := unquote(unquote(part))) and _MAIL.search(plain) else part
