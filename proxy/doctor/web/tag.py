"""Whether visitors get the tag as the proxy serves it, byte for byte. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from proxy.doctor.finding import Finding
from proxy.doctor.web.place import PublicPlace
from proxy.doctor.web.visitor import Unreached, WebAnswer

_JAVASCRIPT = {"text/javascript", "application/javascript", "application/x-javascript", "text/ecmascript"}
_LONGEST_S = 3600
_LEAST_COMPRESSED = 1000
"""The size in bytes beyond which a tag should be compressed."""
_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?(\d+)", re.IGNORECASE)
_CHALLENGES = (b"challenge-platform", b"Just a moment", b"captcha-delivery", b"_Incapsula_Resource")
_CHALLENGED = {401, 403, 405, 429, 503}
_OURS = b'{"error":"nothing here"}'


@dataclass(frozen=True, slots=True)
class ExpectedTag:
    """The tag that this configuration makes."""

    body: bytes
    etag: str
    running: str = ""
    """The ETag of the tag that the running proxy serves; empty when it could not be asked."""


def findings(place: PublicPlace, answer: WebAnswer | Unreached, tag: ExpectedTag) -> Iterator[Finding]:
    """Yield what is wrong with the tag as it came.

    Args:
        place: Where it was asked for.
        answer: What came.
        tag: What should have come.
    """
    if isinstance(answer, Unreached):
        yield Finding("tag_unseen", place.tag, answer.why)
    elif answer.redirect:
        yield Finding("tag_redirected", place.tag, f"{answer.status} to {answer.redirect.partition('?')[0][:200]}")
    elif answer.status != 200:
        yield _failure_finding(place, answer)
    elif answer.kind in {"text/html", "application/xhtml+xml"} or answer.body.lstrip()[:1] == b"<":
        yield Finding("tag_is_page", place.tag, f"200 with {answer.kind or 'no type'}, which is a page", _rule(place))
    else:
        yield from _content(place, answer, tag)
        yield from _caching(place, answer)


def _failure_finding(place: PublicPlace, answer: WebAnswer) -> Finding:
    status = answer.status
    if is_challenge(answer):
        return Finding("tag_challenged", place.tag, f"{status} with a challenge for browsers")
    if answer.body == _OURS:
        return Finding("tag_host_unknown", place.tag, f"{status} of the proxy itself", "proxy_set_header Host $host;")
    if status >= 500:
        return Finding("tag_failing", place.tag, f"{status}")
    return Finding("tag_not_found", place.tag, f"{status} with {answer.kind or 'no type'}", _rule(place))


def is_challenge(answer: WebAnswer) -> bool:
    """Tell whether an answer comes from a bot protection instead of the proxy."""
    said = "cf-mitigated" in answer.headers or any(mark in answer.body for mark in _CHALLENGES)
    return said and answer.status in _CHALLENGED


def _rule(place: PublicPlace) -> str:
    return f"location ^~ {place.prefix}/ {{ proxy_pass http://capi_proxy; proxy_set_header Host $host; }}"


def _content(place: PublicPlace, answer: WebAnswer, tag: ExpectedTag) -> Iterator[Finding]:
    if answer.kind not in _JAVASCRIPT:
        yield Finding("tag_type", place.tag, f"Content-Type: {answer.headers.get('Content-Type', 'none')[:100]}")
    if answer.body == tag.body:
        return
    seen = f"{len(answer.body)} bytes in place of {len(tag.body)}"
    came = answer.headers.get("ETag", "").removeprefix("W/").strip('"').partition("-")[0]
    # A server that rewrites the body drops or keeps our ETag; a cache has the body and the ETag of an earlier build. So
    # another ETag means another build.
    is_other = (came or tag.running) not in {"", tag.etag}
    yield Finding("tag_other_build" if is_other else "tag_changed", place.tag, seen)


def _caching(place: PublicPlace, answer: WebAnswer) -> Iterator[Finding]:
    control = ", ".join(answer.headers.getall("Cache-Control", []))
    ages = [int(age) for age in _AGE.findall(control)]
    words = {word.strip().lower() for word in control.split(",")}
    if any(age > _LONGEST_S for age in ages) or "immutable" in words:
        yield Finding("tag_kept_long", place.tag, f"Cache-Control: {control[:200]}", "expires off;")
    elif "no-store" in words or "no-cache" in words or not ages or max(ages) == 0:
        yield Finding("tag_not_kept", place.tag, f"Cache-Control: {control[:200] or 'none'}", "expires off;")
    if names := [cookie.partition("=")[0] for cookie in answer.headers.getall("Set-Cookie", [])]:
        yield Finding("tag_with_cookie", place.tag, f"sets {', '.join(names)[:200]}")
    if "Content-Encoding" not in answer.headers and len(answer.body) > _LEAST_COMPRESSED:
        seen = f"{len(answer.body)} bytes as they are, though br and gzip were accepted"
        yield Finding("tag_not_compressed", place.tag, seen, "gzip_types text/javascript;")
