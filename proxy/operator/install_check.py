"""The part of the operator API that makes the link of an install check."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from proxy.config.schema import Site
from proxy.operator.documents import BadQueryError, json_object, json_response
from proxy.rules.permission.install_check import OPEN_MS, SHOWN_MS, CheckedPage, InstallChecks
from proxy.rules.request.sites import belongs

_MOST_CHARACTERS = 1000
_ACCEPTED_PAGE = "an address such as https://shop.example/, of a domain of a site"
_ACCEPTED_PROXY = "scheme and host such as https://t.shop.example"


class InstallCheckApi:
    """Makes the link that starts an install check in the owner's browser."""

    def __init__(
        self,
        checks: InstallChecks,
        sites: Sequence[Site],
        prefixes: Callable[[Site], Sequence[str]],
        now: Callable[[], int],
    ) -> None:
        """Take what a link is made of.

        Args:
            checks: Sign the link.
            sites: The sites whose pages may be checked.
            prefixes: Returns the public paths of a site, the current one first.
            now: Server clock in milliseconds.
        """
        self._checks = checks
        self._paths = {site.name: (site, prefixes(site)[0]) for site in sites}
        self._now = now

    def add_to(self, app: web.Application) -> None:
        """Add the routes of this part."""
        app.router.add_post("/api/install-check", self._make)

    async def _make(self, request: web.Request) -> web.Response:
        wanted, now = await json_object(request), self._now()
        site, page = self._site_and_page(wanted)
        path = self._paths[site.name][1]
        proxy = _origin(_text(wanted, "proxy") or site.public_url or page, "proxy", _ACCEPTED_PROXY)
        link = f"{proxy}{path}/{self._checks.link(CheckedPage(site.name, page), now)}"
        minutes = SHOWN_MS // 60_000
        return json_response(
            {"link": link, "site": site.name, "page": page, "open_until": now + OPEN_MS, "minutes": minutes}
        )

    def _site_and_page(self, wanted: Mapping[str, Any]) -> tuple[Site, str]:
        page, name = _text(wanted, "page"), _text(wanted, "site")
        sites = [site for site, _ in self._paths.values()]
        if name and name not in self._paths:
            raise BadQueryError(f"site: {name[:40]!r}; accepted: {', '.join(self._paths)}")
        if not page:
            if not name and len(sites) > 1:
                raise BadQueryError(f"site: missing; accepted: {', '.join(self._paths)}")
            site = self._paths[name][0] if name else sites[0]
            return site, f"https://{site.domains[0]}/"
        _origin(page, "page", _ACCEPTED_PAGE)
        host = urlsplit(page).hostname or ""
        found = [site for site in sites if belongs(site, host) and name in {"", site.name}]
        if not found:
            raise BadQueryError(f"page: {page[:80]!r}; accepted: {_ACCEPTED_PAGE}")
        return found[0], page


def _text(wanted: Mapping[str, Any], key: str) -> str:
    text = wanted.get(key, "")
    if not isinstance(text, str) or len(text) > _MOST_CHARACTERS or not text.isprintable():
        raise BadQueryError(f"{key}: accepted: a text of up to {_MOST_CHARACTERS} characters")
    return text.strip()


def _origin(address: str, key: str, accepted: str) -> str:
    """Return scheme and host of an address.

    Args:
        address: The address that was sent.
        key: The name of its parameter, for the error text.
        accepted: What is accepted, for the error text.

    Raises:
        BadQueryError: when it is no http or https address, or contains a user name.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in {"http", "https"} or not host or port == 0 or "@" in parts.netloc or "\\" in address:
        raise BadQueryError(f"{key}: {address[:80]!r}; accepted: {accepted}")
    return f"{parts.scheme}://{parts.netloc}"
