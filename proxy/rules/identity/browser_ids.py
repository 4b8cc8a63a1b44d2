"""The browser's ids ``_fbp`` and ``_fbc``: read, chosen, made, and set again.

``_fbp``/``_fbc`` are ``fb.<index>.<ms>.<payload>``, with a fifth field of 2 or 8 characters when one of Meta's own
libraries wrote them (Meta, fbp and fbc parameters). ``index`` is the number of labels of the cookie's domain minus
one; 1 when a server makes an id without saving a cookie. The click id is case-sensitive and opaque: it is never
re-stamped, re-cased or invented.
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote, unquote_plus

import msgspec

from proxy.graph.law import CLICK_ID_MAX, CLICK_ID_NEVER, COOKIE_APPENDIX, COOKIE_SECONDS
from proxy.rules.request.cookies import attributes
from proxy.rules.request.sites import CookieScope

_PAYLOAD_MAX = 600  # more than a click id has, since each dot becomes __DOT__

_OCTET = r"[!#-+\--:<-\[\]-~]"  # what a cookie may hold (RFC 6265)
_OCTET_NO_DOT = r"[!#-+\-/-:<-\[\]-~]"
_HEAD = r"fb\.\d{1,2}\.\d{1,15}\."
# The random part that the Pixel makes consists of digits, but the Pixel keeps whatever payload it finds.
_FBP = re.compile(rf"{_HEAD}{_OCTET_NO_DOT}{{1,100}}{COOKIE_APPENDIX}", re.ASCII)
_FBC = re.compile(rf"{_HEAD}{_OCTET_NO_DOT}{{1,{_PAYLOAD_MAX}}}{COOKIE_APPENDIX}", re.ASCII)
# Percent-encoding makes at most three characters of one.
_FBCLID = re.compile(rf"(?:^|&)fbclid=([^&]{{1,{3 * CLICK_ID_MAX}}})(?=&|$)")
_CLICK_ID = re.compile(rf"{_OCTET}{{1,{CLICK_ID_MAX}}}")


class BrowserIds(msgspec.Struct, frozen=True, gc=False):
    """The ids for the server copy, and the ``Set-Cookie`` values that keep them."""

    fbp: str
    fbc: str
    cookies: tuple[str, ...]


def valid_fbp(value: str) -> str:
    """Return ``value`` when it is a well-formed ``_fbp`` of 4 or 5 segments, else nothing."""
    return value if value and _FBP.fullmatch(value) else ""


def valid_fbc(value: str) -> str:
    """Return ``value`` when it is a well-formed ``_fbc`` of 4 or 5 segments, else nothing."""
    return value if value and _FBC.fullmatch(value) else ""


def click_id(url: str) -> str:
    """Return the ``fbclid`` of an address as the Pixel stores it: percent-decoded once, ``.`` as ``__DOT__``.

    It is looked for in the query, then in the fragment. "" if there is none, or if it would make no valid ``_fbc``.
    """
    if "fbclid=" not in url:
        return ""
    address, _, fragment = url.partition("#")  # not urlsplit, which remembers what it parsed
    value = _fbclid(address.partition("?")[2]) or _fbclid(fragment.rpartition("?")[2])
    if not _CLICK_ID.fullmatch(value) or CLICK_ID_NEVER in value.lower():
        return ""
    payload = value.replace(".", "__DOT__")
    return payload if len(payload) <= _PAYLOAD_MAX else ""


def _fbclid(query: str) -> str:
    """Return the first ``fbclid`` that is not empty."""
    match = _FBCLID.search(query)
    return unquote_plus(match[1]) if match else ""


def browser_ids(  # noqa: PLR0913 - the places an id can come from, and what a new one needs
    *,
    scope: CookieScope,
    cookies: Mapping[str, str],
    fbp: str,
    fbc: str,
    url: str,
    referrer: str,
    now: int,
    entropy: int,
    stored_fbp: str = "",
    stored_fbc: str = "",
) -> BrowserIds:
    """Choose the ids of this visitor and the cookies that keep them.

    Cookies win over the body where page and proxy share a registrable domain; elsewhere the body wins and nothing is
    set, since the browser would refuse the cookie. An id that only the visitor cookie holds is sent with the server
    copy, but its cookie is not set again, since somebody deleted it. Missing ids are made: ``_fbp`` always, ``_fbc``
    from the click id.

    Args:
        scope: The relation of the proxy to the page.
        cookies: The cookies of the request, by name.
        fbp: ``_fbp`` as the page saw it, or "".
        fbc: ``_fbc`` as the page saw it, or "".
        url: The page's address, where a click id may stand.
        referrer: The address of the page before it, likewise.
        now: Server clock in milliseconds.
        entropy: 128 random bits.
        stored_fbp: ``_fbp`` as the visitor cookie holds it, or "".
        stored_fbc: ``_fbc`` as the visitor cookie holds it, or "".
    """
    cookie_fbp, cookie_fbc = (cookies.get("_fbp", ""), cookies.get("_fbc", "")) if scope.at_home else ("", "")
    if cookie_fbp and cookie_fbp == stored_fbp:  # which was valid when it was sealed
        shown_fbp = chosen_fbp = cookie_fbp
    else:
        shown_fbp = valid_fbp(cookie_fbp) or valid_fbp(fbp)
        chosen_fbp = shown_fbp or stored_fbp or f"{_stamp(scope, now)}{entropy % 10**18}"
    shown_fbc = (valid_fbc(cookie_fbc), valid_fbc(fbc)) if cookie_fbc or fbc else ("", "")
    if ("fbclid=" in url or "fbclid=" in referrer) and (click := click_id(url) or click_id(referrer)):
        chosen_fbc = _newest_click((*shown_fbc, stored_fbc), click, _stamp(scope, now))
    else:
        chosen_fbc = shown_fbc[0] or shown_fbc[1] or stored_fbc
    if not scope.at_home:
        return BrowserIds(chosen_fbp, chosen_fbc, ())
    rest = attributes(scope, COOKIE_SECONDS, False)
    set_again: tuple[str, ...] = (f"_fbp={chosen_fbp}; {rest}",) if shown_fbp or not stored_fbp else ()
    if chosen_fbc and (chosen_fbc in shown_fbc or chosen_fbc != stored_fbc):
        set_again += (f"_fbc={chosen_fbc}; {rest}",)
    return BrowserIds(chosen_fbp, chosen_fbc, set_again)


def _stamp(scope: CookieScope, now: int) -> str:
    """Return the beginning of an id that is made now: ``fb.<index>.<ms>.``."""
    return f"fb.{scope.domain.count('.') if scope.at_home else 1}.{now}."


def _newest_click(stored: tuple[str, ...], click: str, stamp: str) -> str:
    """Return the stored value that holds this click, so that its time stays, or else a new value."""
    return next((value for value in stored if value and click in _notations(value)), stamp + click)


def _notations(fbc: str) -> tuple[str, str]:
    """Return the click id in a value as it stands, and percent-decoded, since scripts may have encoded the cookie."""
    payload = fbc.split(".")[3]
    return payload, unquote(payload)
