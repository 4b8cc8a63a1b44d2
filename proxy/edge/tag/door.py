"""The tag door: the script of a site, prepared once at start, as caches may keep it."""

from collections.abc import Sequence

from aiohttp import hdrs, web

from proxy.config.schema import Site
from proxy.edge.reading import AdmittedRequest
from proxy.edge.tag.build import tag_of
from proxy.edge.turns import Turns
from proxy.static_files import Asset

_HEADERS = {
    hdrs.CONTENT_TYPE: "text/javascript; charset=utf-8",
    hdrs.CACHE_CONTROL: "public, max-age=3600",
    hdrs.VARY: hdrs.ACCEPT_ENCODING,
    hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}


class TagDoor:
    """Answers any page: what the tag holds is no secret, and a cache must not keep it for one page alone."""

    def __init__(self, sites: Sequence[Site], turns: Turns) -> None:
        """Prepare the tags of the sites, to be sent to each client in its turn."""
        self._tags = {site.name: tag_of(site) for site in sites}
        self._turns = turns

    async def answer(self, admitted: AdmittedRequest) -> web.Response:
        """Answer with the site's tag."""
        await self._turns.mine(admitted.network)
        return _script(self._tags[admitted.site.name], admitted.request)


def _script(asset: Asset, request: web.Request) -> web.Response:
    """Return a tag in the best encoding the browser takes, or that it has not changed."""
    coding, body = asset.choose(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
    etag = f'"{asset.etag}{"-" + coding if coding else ""}"'
    headers = _HEADERS | {hdrs.ETAG: etag}
    if etag in request.headers.get(hdrs.IF_NONE_MATCH, ""):
        return web.Response(status=304, headers=headers)
    if coding:
        headers[hdrs.CONTENT_ENCODING] = coding
    return web.Response(body=body, headers=headers)
