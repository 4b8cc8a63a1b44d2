"""Who is asking: the client's address, the site behind a cookie, the browser ids ``_fbp`` and ``_fbc``.

Facts used here. A forwarding list is written left to right, so only its right end was written by somebody we know.
``_fbp``/``_fbc`` are ``fb.<index>.<ms>.<payload>``, with a fifth field of 2 or 8 characters when one of Meta's own
libraries wrote them (Meta, fbp and fbc parameters). ``index`` is the number of labels of the cookie's domain minus
one; 1 when a server makes an id without saving a cookie. The click id is case-sensitive and opaque: it is never
re-stamped, re-cased or invented.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import parse_qsl

from publicsuffixlist import PublicSuffixList

Network = IPv4Network | IPv6Network

COOKIE_DAYS = 90
_COOKIE_SECONDS = COOKIE_DAYS * 24 * 60 * 60
# The Pixel ignores longer click ids, and any that holds this word (seen in the 2026 copies).
_CLICK_ID_MAX = 500
_CLICK_ID_NEVER = "javascript"
_SUFFIXES = PublicSuffixList()

_OCTET = r"[!#-+\--:<-\[\]-~]"  # what a cookie may hold (RFC 6265)
_OCTET_NO_DOT = r"[!#-+\-/-:<-\[\]-~]"
_APPENDIX = r"(?:\.(?:[A-Za-z0-9_-]{2}|[A-Za-z0-9_-]{8}))?"
_FBP = re.compile(rf"fb\.\d{{1,2}}\.\d{{1,15}}\.\d{{1,20}}{_APPENDIX}", re.ASCII)
_FBC = re.compile(rf"fb\.\d{{1,2}}\.\d{{1,15}}\.{_OCTET_NO_DOT}{{1,{_CLICK_ID_MAX + 100}}}{_APPENDIX}", re.ASCII)
_CLICK_ID = re.compile(rf"{_OCTET}{{1,{_CLICK_ID_MAX}}}")
_AUTHORITY = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(?:[^/?#\\]*@)?(?:\[([^\]/?#\\]*)\]|([^:/?#\\]*))")
# Multicast, site-local and the newer documentation range, which ipaddress counts as global.
_NOBODYS = tuple(map(ip_network, ("224.0.0.0/4", "ff00::/8", "fec0::/10", "3fff::/20")))


@dataclass(frozen=True, slots=True)
class Client:
    """The visitor's address, empty when unknown; ``misdirected`` marks a header that should have been trusted."""

    address: str
    misdirected: bool = False


@dataclass(frozen=True, slots=True)
class BrowserIds:
    """The ids for the server copy, and the ``Set-Cookie`` values that keep them."""

    fbp: str
    fbc: str
    cookies: tuple[str, ...]


def client(peer: str, forwarded: str, trusted: Sequence[Network]) -> Client:
    """Return the client's address: the peer, or what a trusted proxy says of it; never the proxy's own.

    ``forwarded`` is the configured header. The right-most address that is not a trusted proxy wins; an entry that
    cannot be read ends the walk without an address, since whatever stands left of it was written by a stranger.
    """
    address = _parsed(peer)
    if address is None:
        return Client("")
    if not _among(address, trusted):
        return Client(str(address), misdirected=bool(forwarded) and not address.is_global)
    for entry in reversed(forwarded.split(",")):
        hop = _parsed(entry)
        if hop is None:
            break
        if not _among(hop, trusted):
            return Client(str(hop))
    return Client("")


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    """Tell whether the forwarding headers of this peer are believed."""
    address = _parsed(peer)
    return address is not None and _among(address, trusted)


def believed_host(host: str, forwarded_host: str, peer: str, trusted: Sequence[Network]) -> str:
    """Return the host the visitor asked for: a trusted proxy's word for it, else the ``Host`` header."""
    said = forwarded_host.rpartition(",")[2].strip()
    return said if said and is_trusted(peer, trusted) else host


def is_public(address: str) -> bool:
    """Tell whether an address may be sent to Meta: a real one, not private, reserved or for documentation."""
    parsed = _parsed(address)
    return parsed is not None and parsed.is_global and not _among(parsed, _NOBODYS)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address with the port, brackets or zone that proxies add; IPv4 in IPv6 clothes becomes IPv4."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _among(address: IPv4Address | IPv6Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def host_of(authority: str) -> str:
    """Return the lower-case host of a ``Host`` header or an origin, without scheme, port and final dot."""
    match = _AUTHORITY.match(authority.lower())
    return (match[1] or match[2] or "").rstrip(".") if match else ""


@lru_cache(maxsize=1024)
def registrable(host: str) -> str:
    """Return the registrable domain of a host; empty for an address, localhost or a bare public suffix.

    An unknown top-level domain counts as a public suffix of one label.
    """
    if _parsed(host) is not None or "." not in host:
        return ""
    return _SUFFIXES.privatesuffix(host) or ""


def same_site(one: str, other: str) -> bool:
    """Tell whether cookies of one host reach the other."""
    return one == other or (registrable(one) != "" and registrable(one) == registrable(other))


def cookies_of(header: str) -> dict[str, str]:
    """Return name → value of a ``Cookie`` header; the first of a repeated name wins, as the more specific one."""
    cookies: dict[str, str] = {}
    for part in header.split(";"):
        name, equals, value = part.strip().partition("=")
        if equals:
            cookies.setdefault(name, value.strip('"'))
    return cookies


def valid_fbp(value: str) -> str:
    """Return ``value`` when it is a well-formed ``_fbp`` of 4 or 5 segments, else nothing."""
    return value if _FBP.fullmatch(value) else ""


def valid_fbc(value: str) -> str:
    """Return ``value`` when it is a well-formed ``_fbc`` of 4 or 5 segments, else nothing."""
    return value if _FBC.fullmatch(value) else ""


def click_id(url: str) -> str:
    """Return the ``fbclid`` of an address as the Pixel stores it: percent-decoded once, ``.`` as ``__DOT__``."""
    if "fbclid=" not in url:
        return ""
    query = parse_qsl(url.partition("#")[0].partition("?")[2])  # not urlsplit, which remembers what it parsed
    value = next((value for name, value in query if name == "fbclid"), "")
    if not _CLICK_ID.fullmatch(value) or _CLICK_ID_NEVER in value.lower():
        return ""
    return value.replace(".", "__DOT__")


def browser_ids(  # noqa: PLR0913 - the four places an id can come from, and what a new one needs
    *,
    cookie: str,
    fbp: str,
    fbc: str,
    url: str,
    referrer: str,
    host: str,
    origin_host: str,
    secure: bool,
    now: int,
    entropy: int,
    kept_fbp: str = "",
    kept_fbc: str = "",
) -> BrowserIds:
    """Choose the ids of this visitor and the cookies that keep them.

    Cookies win over the body where page and proxy share a registrable domain; elsewhere the body wins and nothing is
    set, since the browser would refuse the cookie. What only the keeper knows (``kept_…``) goes on the server copy and
    never back into a cookie that somebody deleted. Missing ids are made: ``_fbp`` always, ``_fbc`` from the click id.
    """
    at_home = same_site(host, origin_host)
    jar = cookies_of(cookie) if at_home else {}
    domain = registrable(host)
    index = (domain.count(".") if domain else 0) if at_home else 1
    shown_fbp = valid_fbp(jar.get("_fbp", "")) or valid_fbp(fbp)
    chosen_fbp = shown_fbp or kept_fbp or f"fb.{index}.{now}.{entropy % 10**18}"
    shown_fbc = [value for value in (valid_fbc(jar.get("_fbc", "")), valid_fbc(fbc)) if value]
    known_fbc = [*shown_fbc, kept_fbc] if kept_fbc else shown_fbc
    chosen_fbc = _newest_click(known_fbc, click_id(url) or click_id(referrer), f"fb.{index}.{now}.")
    if not at_home:
        return BrowserIds(chosen_fbp, chosen_fbc, ())
    pairs = (
        ("_fbp", shown_fbp or ("" if kept_fbp else chosen_fbp)),
        ("_fbc", chosen_fbc if chosen_fbc in shown_fbc or chosen_fbc != kept_fbc else ""),
    )
    cookies = tuple(set_cookie(name, value, domain, secure=secure) for name, value in pairs if value)
    return BrowserIds(chosen_fbp, chosen_fbc, cookies)


def _newest_click(known: list[str], click: str, stamp: str) -> str:
    """Keep the stored value of the same click with its first time; another click replaces it."""
    if not click:
        return known[0] if known else ""
    return next((value for value in known if value.split(".")[3] == click), stamp + click)


def set_cookie(  # noqa: PLR0913 - the attributes of a cookie
    name: str,
    value: str,
    domain: str,
    *,
    secure: bool,
    seconds: int = _COOKIE_SECONDS,
    http_only: bool = False,
) -> str:
    """Return a ``Set-Cookie`` value as the Pixel's cookies are: path ``/``, Lax; ``http_only`` hides it from script."""
    parts = [f"{name}={value}", f"Max-Age={seconds}", "Path=/", "SameSite=Lax"]
    if domain:
        parts.append(f"Domain={domain}")
    if secure:
        parts.append("Secure")
    if http_only:
        parts.append("HttpOnly")
    return "; ".join(parts)


def forget_cookies(host: str, *, secure: bool) -> tuple[str, ...]:
    """Return the ``Set-Cookie`` values that end our cookies after a withdrawal of consent."""
    domain = registrable(host)
    return tuple(set_cookie(name, "", domain, secure=secure, seconds=0) for name in ("_fbp", "_fbc"))
