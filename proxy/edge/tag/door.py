"""The tag door: answers with a site's script, prepared once at start, and with headers that let caches keep it."""

import re
from collections.abc import Callable, Sequence

from proxy.config.schema import Site
from proxy.edge.arrival import AdmittedRequest
from proxy.edge.exchange import HttpAnswer, HttpRequest
from proxy.edge.tag.build import checked_tag_of, tag_of
from proxy.edge.turns import Turns
from proxy.rules.permission.install_check import InstallChecks
from proxy.static_files import Asset
from proxy.telemetry.tallies import TAG, TallyCounters

_SHOWN = 8
_BUILD = re.compile(r'"([0-9a-f]{20})(?:-br|-gzip)?"')
_HEADERS = {
    "Content-Type": "text/javascript; charset=utf-8",
    "Cache-Control": "public, max-age=3600",
    "Vary": "Accept-Encoding",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}


class TagDoor:
    """Answers any page: the tag holds no secret, and one cached answer must serve all pages."""

    def __init__(
        self,
        sites: Sequence[Site],
        turns: Turns,
        *,
        checks: InstallChecks,
        tallies: TallyCounters,
        now: Callable[[], int],
    ) -> None:
        """Prepare the tags of the sites.

        Args:
            sites: The sites whose tags are served.
            turns: Decide which client's request is next.
            checks: Recognise the owner's browser, which gets the tag with the overlay.
            tallies: Count which builds of the tag browsers have.
            now: Server clock in milliseconds.
        """
        self._tallies = tallies
        self._checks = checks
        self._now = now
        self._tags = {site.name: tag_of(site) for site in sites}
        self._turns = turns

    async def answer(self, admitted: AdmittedRequest) -> HttpAnswer:
        """Answer with the site's tag."""
        await self._turns.wait_for_turn(admitted.network)
        arrival, site, now = admitted.arrival, admitted.site, self._now()
        shown_ms = self._checks.shown_ms(arrival.headers.get("cookie", ""), site.name, now)
        if shown_ms:
            path = arrival.request.path.rpartition("/")[0]
            end = f"{path}/{self._checks.sign_end(site.name, now + shown_ms)}"
            return HttpAnswer(
                200, checked_tag_of(site, shown_ms, end), _HEADERS | {"Cache-Control": "private, no-store"}
            )
        asset = self._tags[site.name]
        self._count(site.name, asset, arrival.request.headers.get("if-none-match", ""))
        return _script(asset, arrival.request)

    def _count(self, site: str, asset: Asset, known: str) -> None:
        """Count the build that a browser has from now on, and the older one that it had until now.

        The tag is cached for an hour at most; then the browser sends the ETag of the build that it had. So the builds
        in use are known without a report from the tag.
        """
        self._tallies.count(TAG, site, asset.etag[:_SHOWN], "current")
        if (found := _BUILD.search(known)) and found[1] != asset.etag:
            self._tallies.count(TAG, site, found[1][:_SHOWN], "before")


def _script(asset: Asset, request: HttpRequest) -> HttpAnswer:
    """Return the tag in the best encoding that the browser accepts, or 304 when the browser has it already."""
    coding, body = asset.choose(request.headers.get("accept-encoding", ""))
    etag = f'"{asset.etag}{"-" + coding if coding else ""}"'
    headers = _HEADERS | {"ETag": etag}
    if etag in request.headers.get("if-none-match", ""):
        return HttpAnswer(304, headers=headers)
    if coding:
        headers["Content-Encoding"] = coding
    return HttpAnswer(200, body, headers)
