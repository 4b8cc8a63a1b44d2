"""The public addresses of one site, looked at one after another: names, TLS, pages, tag, round trip."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from proxy.config.schema import Settings, Site
from proxy.doctor.catalogue.row import Seriousness
from proxy.doctor.finding import Finding
from proxy.doctor.web import names, page, round_trip, tag, tls
from proxy.doctor.web.markup import markup_of
from proxy.doctor.web.network_access import NameFacts
from proxy.doctor.web.place import PublicPlace, origin_of
from proxy.doctor.web.tag import ExpectedTag
from proxy.doctor.web.visitor import Unreached, Visitor, WebAnswer, port_of
from proxy.edge.tag.build import tag_of, trap_of
from proxy.model.probe import ProbeKeys
from proxy.rules.request.sites import belongs, host_of, registrable

_MOST_DOMAINS = 8
"""The most domains of a site that are looked at; further ones are probably like them."""
_MOST_REDIRECTS = 5
_ENCODINGS = {"Accept-Encoding": "br, gzip"}


@dataclass(frozen=True, slots=True)
class SiteLook:
    """A look at the public addresses of one site."""

    visitor: Visitor
    settings: Settings
    site: Site
    prefix: str
    keys: ProbeKeys
    base: str = ""
    """The proxy's address in pages; empty: where a page itself has the tag from, else the page's own host."""
    old_prefixes: Sequence[str] = ()
    """Public paths that old secrets gave the site."""

    async def findings(self) -> AsyncIterator[Finding]:
        """Yield each finding as soon as it is found."""
        domains = self.site.domains[:_MOST_DOMAINS]
        async for finding in self._names(domains):
            yield finding
        sound: set[str] = set()
        first, second = [f"https://{domain}/" for domain in domains], await self._www_start_pages(domains)
        starts, pages = [*first, *second], dict[str, WebAnswer]()
        for url in [*starts, *([self.base] if self.base else [])]:
            async for finding in self._tls(url, sound):
                # The www name of a domain need not serve pages.
                if url not in second:
                    yield finding
        for url in starts:
            if origin_of(url) in sound:
                async for finding in self._page(url, pages):
                    if finding.code != "page_unseen" or url not in second:
                        yield finding
        async for finding in self._places(pages, starts, sound):
            yield finding

    async def _names(self, domains: Sequence[str]) -> AsyncIterator[Finding]:
        ways, host = self.visitor.ways, host_of(self.base)
        second = {domain: f"www.{domain}" for domain in domains if registrable(domain) == domain}
        await asyncio.gather(*map(ways.facts, {*domains, *second.values(), *([host] if host else [])}))
        for domain in domains:
            facts = await ways.facts(domain)
            www = await ways.facts(second[domain]) if domain in second else NameFacts("")
            # A site may have its pages on the www name alone.
            if facts.addresses or not www.addresses:
                for finding in (*names.name_findings(facts), *names.www_findings(facts, www)):
                    yield finding
        if host and host not in domains:
            facts = await ways.facts(host)
            for finding in (
                *names.name_findings(facts),
                *names.proxy_name_findings(await ways.facts(domains[0]), facts),
            ):
                yield finding

    async def _www_start_pages(self, domains: Sequence[str]) -> list[str]:
        """Return the start pages of the domains' www names, if a name server knows the name."""
        hosts = [f"www.{domain}" for domain in domains if registrable(domain) == domain]
        return [f"https://{host}/" for host in hosts if host not in domains and await self._has_address(host)]

    async def _has_address(self, host: str) -> bool:
        return bool(await self.visitor.ways.endpoints(host, 443))

    async def _tls(self, url: str, sound: set[str]) -> AsyncIterator[Finding]:
        """Yield what is wrong with TLS at an address; add its origin to ``sound`` if requests can be sent there."""
        origin, parts = origin_of(url), urlsplit(url)
        host = parts.hostname or ""
        if origin in sound or not await self.visitor.ways.endpoints(host, port_of(url)):
            return  # there is a finding about a name without addresses already
        if parts.scheme == "http":
            sound.add(origin)
            yield Finding("tls_missing", origin, "http, which no page that came by https may load", "listen 443 ssl;")
            return
        found = [finding async for finding in tls.findings(self.visitor.ways, host, port_of(url))]
        for finding in found:
            yield finding
        if not any(finding.row.seriousness in {Seriousness.FAILURE, Seriousness.UNSEEN} for finding in found):
            sound.add(origin)

    async def _page(self, url: str, pages: dict[str, WebAnswer]) -> AsyncIterator[Finding]:
        """Ask for a page, and add the answer to ``pages`` by its origin; yield what is wrong with reaching it."""
        host = urlsplit(url).hostname or ""
        if await self.visitor.ways.endpoints(host, 80):
            plain = await self.visitor.get(f"http://{host}/")
            if isinstance(plain, WebAnswer) and plain.status == 200:
                paste = "return 301 https://$host$request_uri;"
                yield Finding("plain_http_serves", f"http://{host}/", "200 in place of a redirect", paste)
        answer = await self._follow_redirects(url)
        if isinstance(answer, Unreached):
            yield Finding("page_unseen", url, answer.why)
        elif answer.status != 200:
            yield Finding("page_unseen", url, f"{answer.status}")
        else:
            pages.setdefault(origin_of(answer.url), answer)

    async def _follow_redirects(self, url: str) -> WebAnswer | Unreached:
        for _ in range(_MOST_REDIRECTS):
            answer = await self.visitor.get(url, _ENCODINGS)
            if isinstance(answer, Unreached) or not answer.redirect:
                return answer
            url = answer.redirect
            if not belongs(self.site, urlsplit(url).hostname or ""):
                return Unreached(answer.url, f"leads to {answer.redirect_without_query}, which is no page of the site")
        return Unreached(url, "redirects without end")

    async def _places(
        self, pages: dict[str, WebAnswer], starts: Sequence[str], sound: set[str]
    ) -> AsyncIterator[Finding]:
        """Yield what is wrong with each page, and with the proxy at the address that the page uses."""
        for answer in pages.values():
            place = await asyncio.to_thread(self._place, answer.url, answer)
            # In a thread, as a large page takes long, and this event loop may be the one that serves visitors.
            for finding in await asyncio.to_thread(list, page.findings(place, answer)):
                yield finding
            if place.base not in sound and place.base != self.base:
                async for finding in self._own_host(place, sound):
                    yield finding
            if place.base in sound:
                async for finding in self._proxy(place):
                    yield finding
        if not pages and (origin := origin_of(self.base or starts[0])) in sound:
            async for finding in self._proxy(self._place(starts[0], None, origin)):
                yield finding

    async def _own_host(self, place: PublicPlace, sound: set[str]) -> AsyncIterator[Finding]:
        """Yield what is wrong with the name and the TLS of a proxy whose host is known from a page alone."""
        ways = self.visitor.ways
        facts, of_page = await ways.facts(place.host), await ways.facts(host_of(place.origin))
        for finding in (*names.name_findings(facts), *names.proxy_name_findings(of_page, facts)):
            yield finding
        async for finding in self._tls(place.base, sound):
            yield finding

    def _place(self, url: str, answer: WebAnswer | None, base: str = "") -> PublicPlace:
        found = base or self.base or (self._base_in(url, answer) if answer else "") or origin_of(url)
        return PublicPlace(self.site, self.prefix, url, found, trap_of(self.site), self.old_prefixes)

    def _base_in(self, url: str, answer: WebAnswer) -> str:
        """Return the origin from which a page loads the tag, if it is a host of the site; else an empty text."""
        markup = markup_of(answer.body.decode(errors="replace"))
        for script in page.tag_scripts(markup, f"{self.prefix}/{self.site.tag_name}", url):
            address = page.address_of(script, markup, url)
            if belongs(self.site, urlsplit(address).hostname or ""):
                return origin_of(address)
        return ""

    async def _proxy(self, place: PublicPlace) -> AsyncIterator[Finding]:
        """Yield what is wrong with the tag as it comes, and with requests to the proxy and their answers."""
        came = await self.visitor.get(place.tag, _ENCODINGS)
        passage = None
        if isinstance(came, WebAnswer):
            posted = await round_trip.post(self.visitor, place)
            # Where the tag is challenged as well, one finding says so.
            for finding in round_trip.collect_findings(place, posted) if not tag.is_challenge(came) else ():
                yield finding
            passage = await round_trip.ask(self.visitor, place, self.keys, {})
        running = str(passage.seen.get("tag", "")) if isinstance(passage, round_trip.ProbeAnswer) else ""
        asset = await asyncio.to_thread(tag_of, self.site)
        for finding in tag.findings(place, came, ExpectedTag(asset.bodies[""], asset.etag, running)):
            yield finding
        if isinstance(passage, str):
            yield Finding("probe_unseen", place.base, passage)
        elif passage:
            own = await self.visitor.own_addresses(place.base)
            for finding in round_trip.probe_findings(place, self.settings, passage, own):
                yield finding
            forged = await round_trip.ask(self.visitor, place, self.keys, round_trip.forged_headers(self.settings))
            if isinstance(forged, round_trip.ProbeAnswer):
                for finding in round_trip.forged_findings(place, self.settings, forged, own):
                    yield finding
