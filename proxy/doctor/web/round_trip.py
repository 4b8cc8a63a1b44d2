"""A round trip: how much of a visitor's request reaches the running proxy, and how much of its answer comes back.

A body that the proxy refuses is posted to the real address for events, so nothing is stored. The rest is asked at an
address for the doctor alone (``proxy.model.probe``): once as a visitor asks, and once as a stranger asks who forges the
headers that a web server should write.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import orjson

from proxy import __version__
from proxy.config.schema import Settings
from proxy.doctor.finding import Finding
from proxy.doctor.web.place import PublicPlace, origin_of
from proxy.doctor.web.tag import is_challenge
from proxy.doctor.web.visitor import Unreached, Visitor, WebAnswer
from proxy.installation import now_ms
from proxy.model.probe import ProbeKeys
from proxy.rules.request.sites import host_of

FORGED_ADDRESS = "198.51.100.77"
"""Of a network for documentation (RFC 5737), so that nobody has it."""
FORGED_HOST = "forged.invalid"
_REFUSED_BODY = b"{}"


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """The running proxy's answer to the question what it sees."""

    nonce: str
    seen: Mapping[str, Any]
    """What the proxy saw of the request."""
    cookies: tuple[str, ...]
    """The ``Set-Cookie`` values that came back."""
    cdn: str
    """The CDN that the answer came through; empty when there is no sign of one."""


async def ask(visitor: Visitor, place: PublicPlace, keys: ProbeKeys, forged: Mapping[str, str]) -> ProbeAnswer | str:
    """Ask the running proxy what it sees of a request; return a text that says why if it could not be asked.

    Args:
        visitor: Makes the request.
        place: The page, and the proxy that is asked.
        keys: The installation's keys for such questions.
        forged: Headers to send that a web server should overwrite.
    """
    question = keys.question(place.site.name, now=now_ms())
    nonce = question.nonce.hex()
    headers = {"Origin": place.origin, "Cookie": f"{keys.cookie}={nonce}", **forged}
    answer = await visitor.post(f"{place.base}{place.prefix}/{keys.leaf}", question.body, headers)
    if isinstance(answer, Unreached):
        return answer.why
    seen = keys.read_answer(answer.body, question) if answer.status == 200 else None
    if seen is None:
        return f"{answer.status} with {answer.kind or 'no type'} in place of an answer"
    cookies = tuple(each for each in answer.headers.getall("Set-Cookie", []) if each.startswith(f"{keys.cookie}="))
    return ProbeAnswer(nonce, seen, cookies, _cdn_of(answer))


def _cdn_of(answer: WebAnswer) -> str:
    """Return the name by which ``client_ip_preset`` knows the CDN that an answer came through."""
    if "CF-RAY" in answer.headers:
        return "cloudflare"
    if "X-Amz-Cf-Id" in answer.headers:
        return "cloudfront"
    return "fastly" if answer.headers.get("X-Served-By", "").startswith("cache-") else ""


async def post(visitor: Visitor, place: PublicPlace) -> WebAnswer | Unreached:
    """Post a body that the proxy refuses to the address for events."""
    return await visitor.post(place.collect, _REFUSED_BODY, {"Origin": place.origin})


def collect_findings(place: PublicPlace, answer: WebAnswer | Unreached) -> Iterator[Finding]:
    """Yield what is wrong with the way of posted events to the proxy, judged by the answer to ``post``."""
    if isinstance(answer, Unreached):
        yield Finding("collect_not_proxied", place.collect, f"POST: {answer.why}")
    elif is_challenge(answer):
        yield Finding("collect_not_proxied", place.collect, f"POST: {answer.status} with a challenge for browsers")
    elif answer.redirect:
        yield Finding(
            "collect_redirected", place.collect, f"{answer.status} to {answer.redirect.partition('?')[0][:200]}"
        )
    elif answer.status == 403 and _error(answer).startswith("origin"):
        seen = f"403 for a page of {place.origin}"
        yield Finding("collect_refused", place.collect, seen, f'domains = ["{host_of(place.origin)}"]')
    elif answer.status != 400 or not _error(answer):
        seen = f"POST: {answer.status} with {answer.kind or 'no type'}"
        yield Finding("collect_not_proxied", place.collect, seen, f"location ^~ {place.prefix}/ {{ … }}")
    elif place.origin != origin_of(place.base):
        yield from _cors(place, answer)


def _error(answer: WebAnswer) -> str:
    try:
        document = orjson.loads(answer.body)
    except ValueError:
        return ""
    error = document.get("error", "") if isinstance(document, dict) else ""
    return error if isinstance(error, str) else ""


def _cors(place: PublicPlace, answer: WebAnswer) -> Iterator[Finding]:
    said = answer.headers.getall("Access-Control-Allow-Origin", [])
    may_have_cookies = answer.headers.getall("Access-Control-Allow-Credentials", [])
    if said != [place.origin] or may_have_cookies != ["true"]:
        seen = f"Access-Control-Allow-Origin: {', '.join(said)[:200] or 'none'} for a page of {place.origin}"
        yield Finding("cors_changed", place.collect, seen, "proxy_pass_header Access-Control-Allow-Origin;")


def probe_findings(
    place: PublicPlace, settings: Settings, passage: ProbeAnswer, own: frozenset[str]
) -> Iterator[Finding]:
    """Yield what was lost or changed of a visitor's request on the way to the proxy, and of its answer on the way back.

    Args:
        place: The page, and the proxy that was asked.
        settings: Says whose forwarding headers the proxy believes.
        passage: The proxy's answer.
        own: The addresses from which this machine asked.
    """
    seen = passage.seen
    if host_of(str(seen.get("host"))) != place.host:
        text = f"the proxy sees {seen.get('host')!r}"
        yield Finding("host_changed", place.base, text, "proxy_set_header Host $host;")
    if place.base.startswith("https://") and not seen.get("secure"):
        paste = "proxy_set_header X-Forwarded-Proto $scheme;"
        yield Finding("scheme_unknown", place.base, "the proxy sees http", paste)
    if seen.get("cookie") != passage.nonce:
        yield Finding("cookie_not_forwarded", place.base, "the proxy sees no cookie of this question")
    yield from _cookie(place, passage)
    yield from _address(place, settings, passage, own)
    if seen.get("version") != __version__:
        yield Finding("version_differs", place.base, f"{seen.get('version')} runs, and this is {__version__}")


def _cookie(place: PublicPlace, passage: ProbeAnswer) -> Iterator[Finding]:
    sent = _attributes(str(passage.seen.get("set_cookie")))
    if not passage.cookies:
        yield Finding("cookie_stripped", place.base, "the proxy set a cookie, and none came back")
    elif sent not in (came := [_attributes(cookie) for cookie in passage.cookies]):
        changed = sorted({name for name, _ in came[0] ^ sent})
        yield Finding("cookie_changed", place.base, f"changed: {', '.join(changed)[:200]}")


def _attributes(cookie: str) -> frozenset[tuple[str, str]]:
    """Return a cookie's value and attributes, each with its name, in the form in which browsers compare them."""
    first, *rest = cookie.split(";")
    pairs = [("value", first.strip())]
    pairs += [
        (name.strip().lower(), value.strip().lower()) for name, _, value in (part.partition("=") for part in rest)
    ]
    return frozenset((name, value.lstrip(".") if name == "domain" else value) for name, value in pairs)


def _address(place: PublicPlace, settings: Settings, passage: ProbeAnswer, own: frozenset[str]) -> Iterator[Finding]:
    server, seen = settings.server, passage.seen
    address, peer, forwarded = (str(seen.get(key, "")) for key in ("address", "peer", "forwarded"))
    through_server = bool(forwarded) or (place.base.startswith("https://") and not server.proxy_protocol)
    if not seen.get("believed"):
        if through_server:
            bits = 128 if ":" in peer else 32
            text = f"the proxy sees {address or 'nobody'}, whom it does not trust"
            yield Finding("address_of_web_server", place.base, text, f'trusted_proxies = ["{peer}/{bits}"]')
    elif not address and not _names_own_address(passage, own):
        text = f"the proxy trusts {peer}, and {server.forwarding_header} says {forwarded!r}"
        yield Finding(
            "address_header_missing", place.base, text, f"proxy_set_header {server.forwarding_header} $remote_addr;"
        )
    elif address and address not in own and _is_foreign(settings, passage, own):
        paste = f'client_ip_preset = "{passage.cdn}"' if passage.cdn else ""
        text = f"the proxy sees {address}, and this machine asked by {', '.join(sorted(own)) or 'an unknown address'}"
        yield Finding("address_not_own", place.base, text, paste)


def _names_own_address(passage: ProbeAnswer, own: frozenset[str]) -> bool:
    """Tell whether the web server named this machine as its client.

    If the proxy trusts this machine too, it then sees no address, although the web server wrote the header.
    """
    return str(passage.seen.get("forwarded", "")).rpartition(",")[2].strip() in own


def _is_foreign(settings: Settings, passage: ProbeAnswer, own: frozenset[str]) -> bool:
    """Tell whether the address that the proxy sees, which is not one of this machine's, is wrong.

    Behind a CDN it is wrong if the configuration does not read the CDN's header. Elsewhere it may be that of a router,
    which translates the address of a machine with private addresses alone.
    """
    server = settings.server
    if passage.cdn:
        return not server.client_ip_preset and server.client_ip_header.lower() == "x-forwarded-for"
    return any(not _is_private(address) for address in own)


def _is_private(address: str) -> bool:
    number = ip_address(address)
    return number.is_private and not number.is_loopback


def forged_headers(settings: Settings) -> dict[str, str]:
    """Return the headers by which a stranger would pretend to have another address and host."""
    header = settings.server.forwarding_header
    address = f"for={FORGED_ADDRESS}" if header.lower() == "forwarded" else FORGED_ADDRESS
    return {"X-Forwarded-Host": FORGED_HOST, header: address}


def forged_findings(
    place: PublicPlace, settings: Settings, passage: ProbeAnswer, own: frozenset[str]
) -> Iterator[Finding]:
    """Yield which of the forged headers the proxy believed.

    Args:
        place: The page, and the proxy that was asked.
        settings: Says whose forwarding headers the proxy believes.
        passage: The proxy's answer to the request with these headers.
        own: The addresses from which this machine asked.
    """
    header = settings.server.forwarding_header
    if passage.seen.get("address") == FORGED_ADDRESS and not _names_own_address(passage, own):
        text = f"{header} of a stranger is believed"
        yield Finding("address_forgeable", place.base, text, f"proxy_set_header {header} $remote_addr;")
    if passage.seen.get("host") == FORGED_HOST:
        paste = "proxy_set_header X-Forwarded-Host $host;"
        yield Finding("host_forgeable", place.base, "X-Forwarded-Host of a stranger is believed", paste)
