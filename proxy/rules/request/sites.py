"""Which site a host belongs to, and whether proxy and page share cookies: hosts, domains, public suffixes."""

import re
from functools import lru_cache

import msgspec
from publicsuffixlist import PublicSuffixList

from proxy.config.hosts import MAX_HOST, ascii_host
from proxy.config.schema import Site
from proxy.model.request import BrowserRequest
from proxy.rules.request.client_address import is_address

_SUFFIXES = PublicSuffixList()
_AUTHORITY_MAX = 2048
# A host without path or user name; hardly any site's host is longer.
_is_bare = re.compile(r"[^/?#@]{0,100}").fullmatch
_AUTHORITY = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?:[^/?#\\]*@)?(?:\[([^\]/?#\\]*)\]|([^:/?#\\]*))")


class CookieScope(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """The relation of the proxy to the page, as far as cookies go."""

    at_home: bool
    """Whether page and proxy share a registrable domain, so that the cookies of one reach the other."""
    domain: str
    """The domain that the proxy sets cookies for; empty for its host only."""
    secure: bool


def host_of(authority: str) -> str:
    """Return the host of a ``Host`` header, an origin or an address as hosts are compared: no scheme, port, final dot.

    Only bare hosts are cached: a Referer may be long, and may hold a key that lets somebody in.
    """
    bare = authority.removeprefix("https://")
    return _remembered_host(bare) if _is_bare(bare) else _host_in(authority)


def _host_in(authority: str) -> str:
    match = _AUTHORITY.match(authority[:_AUTHORITY_MAX])
    return ascii_host(match[1] or match[2] or "") if match else ""


_remembered_host = lru_cache(maxsize=1024)(_host_in)


def registrable(host: str) -> str:
    """Return the registrable domain of a host; empty for an address, localhost or a bare public suffix.

    An unknown top-level domain counts as a public suffix of one label.
    """
    return _registrable(host) if len(host) <= MAX_HOST else ""


@lru_cache(maxsize=1024)
def _registrable(host: str) -> str:
    if is_address(host) or "." not in host:
        return ""
    return _SUFFIXES.privatesuffix(host) or ""


def is_public_suffix(host: str) -> bool:
    """Tell whether different owners have sites below this name, as below ``com`` and ``co.uk`` (Public Suffix List)."""
    return _SUFFIXES.publicsuffix(host, accept_unknown=False) == host


@lru_cache(maxsize=1024)
def cookie_scope_between(host: str, page: str, *, secure: bool) -> CookieScope:
    """Return the relation of the proxy to a page.

    Args:
        host: The proxy's host, as ``host_of`` returns it.
        page: The page's host, likewise.
        secure: Whether the page came by https.
    """
    domain = registrable(host)
    return CookieScope(host == page or domain == registrable(page) != "", domain, secure)


def belongs(site: Site, host: str) -> bool:
    """Tell whether pages on this host may send to the site: its domains and their sub-domains."""
    return domain_of_host(site, host) != ""


def domain_of_host(site: Site, host: str) -> str:
    """Return the most specific domain of a site that a host is, or is a sub-domain of; else nothing."""
    return max(
        (domain for domain in site.domains if host == domain or host.endswith("." + domain)), key=len, default=""
    )


def cookie_scope_of(request: BrowserRequest, *, own_page: bool = False) -> CookieScope:
    """Return the relation of the proxy to the page of a request; ``own_page``: the page is the proxy's own.

    Browsers let an https page send to https only, so an https page tells that the proxy was reached by https, even if a
    proxy in front does not say so.
    """
    page = request.host if own_page else request.origin or request.referer
    is_https = page.startswith("https://")
    bare = page[len("https://") :] if is_https else page
    if _is_bare(f"{request.host} {bare}"):
        return _remembered_scope(request.host, bare, request.secure or is_https)
    return _scope(request.host, page, request.secure or is_https)


def _scope(host: str, page: str, secure: bool) -> CookieScope:  # noqa: FBT001 - a key of the cache
    return cookie_scope_between(host_of(host), host_of(page), secure=secure)


_remembered_scope = lru_cache(maxsize=1024)(_scope)
