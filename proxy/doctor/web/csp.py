"""Whether a page's Content-Security-Policy lets the tag work (W3C, Content Security Policy Level 3).

Pure. A page may have several policies, and each has to allow what is done. What cannot be read allows nothing, as in
browsers. Section numbers are those of the W3C document.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

_SEPARATORS = re.compile(r"[\t\n\f\r ]+")
_HASH = re.compile(r"'(sha256|sha384|sha512)-([A-Za-z0-9+/_-]+={0,2})'", re.IGNORECASE)
_NONCE = re.compile(r"'nonce-([A-Za-z0-9+/_-]+={0,2})'", re.IGNORECASE)
_SOURCE = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?P<host>\*|(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>\d+|\*))?(?P<path>/[^?#]*)?",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
# By the scheme in a policy: the schemes that it allows, since a safer one will do as well (6.7.2.9).
_SAFER = {"http": {"http", "https"}, "ws": {"ws", "wss", "http", "https"}, "wss": {"wss", "https"}}
_FALLBACKS = {
    "script-src-elem": ("script-src-elem", "script-src", "default-src"),
    "connect-src": ("connect-src", "default-src"),
    "img-src": ("img-src", "default-src"),
}
"""6.8.3, Get fetch directive fallback list."""


@dataclass(frozen=True, slots=True)
class PagePolicy:
    """One Content-Security-Policy, by the names of its directives in lower case."""

    directives: Mapping[str, Sequence[str]]

    @classmethod
    def parsed(cls, text: str) -> "PagePolicy":
        """Read a policy as it is written; if a directive is repeated, the first one counts (2.2.1)."""
        directives: dict[str, Sequence[str]] = {}
        for part in text.split(";"):
            name, *values = _SEPARATORS.split(part.strip("\t\n\f\r ")) or [""]
            if name and name.isascii():
                directives.setdefault(name.lower(), tuple(filter(None, values)))
        return cls(directives)

    def allows_script(self, url: str, *, nonce: str, page: str) -> bool:
        """Tell whether a script of this address may stand in the page (6.1.10.1).

        Args:
            url: The address of the script.
            nonce: The nonce of its element; empty when it has none.
            page: The page's address.
        """
        if not self._allows_scripts_at_all():
            return False
        sources = self._sources("script-src-elem")
        if sources is None or _has_nonce(sources, nonce):
            return True
        return not _has_word(sources, "strict-dynamic") and _allows(sources, url, page)

    def allows_inline(self, text: str, *, nonce: str) -> bool:
        """Tell whether an inline script may run (6.7.3.3).

        Args:
            text: The text of the script.
            nonce: The nonce of its element; empty when it has none.
        """
        if not self._allows_scripts_at_all():
            return False
        sources = self._sources("script-src-elem")
        if sources is None or _has_nonce(sources, nonce) or _has_hash(sources, text):
            return True
        bound = any(_HASH.fullmatch(source) or _NONCE.fullmatch(source) for source in sources)
        return _has_word(sources, "unsafe-inline") and not bound and not _has_word(sources, "strict-dynamic")

    def allows_connect(self, url: str, *, page: str) -> bool:
        """Tell whether a script of the page may send requests to this address."""
        return self._allows_fetch("connect-src", url, page)

    def allows_image(self, url: str, *, page: str) -> bool:
        """Tell whether an image of this address may stand in the page."""
        return self._allows_fetch("img-src", url, page)

    def _allows_fetch(self, directive: str, url: str, page: str) -> bool:
        sources = self._sources(directive)
        return sources is None or _allows(sources, url, page)

    def _sources(self, directive: str) -> Sequence[str] | None:
        names = _FALLBACKS[directive]
        return next((self.directives[name] for name in names if name in self.directives), None)

    def _allows_scripts_at_all(self) -> bool:
        sandbox = self.directives.get("sandbox")
        return sandbox is None or "allow-scripts" in map(str.lower, sandbox)


def policies(headers: Iterable[str], metas: Iterable[str] = ()) -> list[PagePolicy]:
    """Return the policies of a page: of its headers, each of which may hold several, and of its ``meta`` elements."""
    texts = [text for header in headers for text in header.split(",")]
    found = [PagePolicy.parsed(text) for text in texts]
    # 3.3: in a meta element these directives are ignored.
    ignored = {"frame-ancestors", "report-uri", "sandbox"}
    for text in metas:
        directives = PagePolicy.parsed(text).directives
        found.append(PagePolicy({name: values for name, values in directives.items() if name not in ignored}))
    return [policy for policy in found if policy.directives]


def hash_source(text: str) -> str:
    """Return the source that allows an inline script by its hash."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _has_word(sources: Sequence[str], word: str) -> bool:
    return f"'{word}'" in map(str.lower, sources)


def _has_nonce(sources: Sequence[str], nonce: str) -> bool:
    found = (_NONCE.fullmatch(source) for source in sources)
    return bool(nonce) and any(match[1] == nonce for match in found if match)


def _has_hash(sources: Sequence[str], text: str) -> bool:
    for source in sources:
        if match := _HASH.fullmatch(source):
            digest = base64.b64encode(hashlib.new(match[1].lower(), text.encode()).digest()).decode()
            if match[2].replace("-", "+").replace("_", "/").rstrip("=") == digest.rstrip("="):
                return True
    return False


def _allows(sources: Sequence[str], url: str, page: str) -> bool:
    """Tell whether a source list allows an address (6.7.2.7); of its keywords only ``'self'`` is about addresses."""
    return any(_matches(source, url, page) for source in sources)


def _matches(source: str, url: str, page: str) -> bool:
    if source.lower() == "'self'":
        return _is_same_place(url, page)
    if source == "*":
        scheme = urlsplit(url).scheme
        return scheme in _PORTS or scheme == urlsplit(page).scheme
    if by_scheme := _SCHEME.fullmatch(source):
        return _scheme_fits(by_scheme[1].lower(), urlsplit(url).scheme)
    match = _SOURCE.fullmatch(source)
    return match is not None and _host_source_fits(match, url, page)


def _is_same_place(url: str, page: str) -> bool:
    asked, own = urlsplit(url), urlsplit(page)
    if asked.hostname != own.hostname:
        return False
    same_port = _port(asked.scheme, asked.port) == _port(own.scheme, own.port)
    usual = asked.port in {None, _PORTS.get(asked.scheme)} and own.port in {None, _PORTS.get(own.scheme)}
    return (asked.scheme == own.scheme and same_port) or (_scheme_fits(own.scheme, asked.scheme) and usual)


def _host_source_fits(source: re.Match[str], url: str, page: str) -> bool:
    asked = urlsplit(url)
    scheme = (source["scheme"] or urlsplit(page).scheme).lower()
    return (
        _scheme_fits(scheme, asked.scheme)
        and _host_fits(source["host"].lower().rstrip("."), asked.hostname or "")
        and _port_fits(source["port"], scheme, asked.scheme, asked.port)
        and _path_fits(source["path"] or "", asked.path)
    )


def _scheme_fits(allowed: str, asked: str) -> bool:
    return asked in _SAFER.get(allowed, {allowed})


def _host_fits(pattern: str, host: str) -> bool:
    if pattern == "*":
        return True
    return (
        host.endswith(pattern[1:]) and host != pattern[2:] if pattern.startswith("*.") else host == pattern.strip("[]")
    )


def _port(scheme: str, port: int | None) -> int | None:
    return _PORTS.get(scheme) if port is None else port


def _port_fits(pattern: str | None, allowed: str, scheme: str, port: int | None) -> bool:
    asked = _port(scheme, port)
    if pattern is None:
        return asked == _PORTS.get(scheme)
    upgraded = int(pattern) == 80 and asked == 443 if pattern != "*" else True
    return pattern == "*" or int(pattern) == asked or (upgraded and _scheme_fits(allowed, scheme))


def _path_fits(pattern: str, path: str) -> bool:
    """Tell whether a path is allowed; a pattern that ends with a slash allows all paths below it (6.7.2.12)."""
    if pattern in {"", "/"} and (not pattern or path):
        return True
    wanted, asked = pattern.split("/"), path.split("/")
    if pattern.endswith("/"):
        wanted.pop()
        asked = asked[: len(wanted)] if len(asked) > len(wanted) else []
    return [unquote(part) for part in wanted] == [unquote(part) for part in asked]
