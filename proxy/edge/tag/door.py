"""The tag door: the script of a site, prepared once at start, as caches may keep it."""

from collections.abc import Sequence

from proxy.config.schema import Site
from proxy.edge.arrival import AdmittedRequest
from proxy.edge.exchange import HttpAnswer, HttpRequest
from proxy.edge.tag.build import tag_of
from proxy.edge.turns import Turns
from proxy.static_files import Asset

_HEADERS = {
    "Content-Type": "text/javascript; charset=utf-8",
    "Cache-Control": "public, max-age=3600",
    "Vary": "Accept-Encoding",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}


class TagDoor:
    """Answers any page: what the tag holds is no secret, and a cache must not keep it for one page alone."""

    def __init__(self, sites: Sequence[Site], turns: Turns) -> None:
        """Prepare the tags of the sites, to be sent to each client in its turn."""
        self._tags = {site.name: tag_of(site) for site in sites}
        self._turns = turns

    async def answer(self, admitted: AdmittedRequest) -> HttpAnswer:
        """Answer with the site's tag."""
        await self._turns.mine(admitted.network)
        return _script(self._tags[admitted.site.name], admitted.arrival.request)


def _script(asset: Asset, request: HttpRequest) -> HttpAnswer:
    """Return a tag in the best encoding the browser takes, or that it has not changed."""
    coding, body = asset.choose(request.headers.get("accept-encoding", ""))
    etag = f'"{asset.etag}{"-" + coding if coding else ""}"'
    headers = _HEADERS | {"ETag": etag}
    if etag in request.headers.get("if-none-match", ""):
        return HttpAnswer(304, headers=headers)
    if coding:
        headers["Content-Encoding"] = coding
    return HttpAnswer(200, body, headers)
