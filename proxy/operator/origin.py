"""Which page a browser's request comes from: no page of a stranger may write, even if the browser sends our cookie."""

from urllib.parse import urlsplit

from aiohttp import hdrs, web

_SITE = "Sec-Fetch-Site"
_OWN = {"same-origin", "none"}
FOREIGN_WRITE_ERROR = (
    "origin: a page of another address may not write; a server in front has to pass the Host header on"
)


def has_origin(request: web.Request) -> bool:
    """Tell whether a request says which page it comes from, as each write of a browser does."""
    return _SITE in request.headers or hdrs.ORIGIN in request.headers


def is_foreign(request: web.Request) -> bool:
    """Tell whether a request comes from a page that is not ours.

    Browsers send ``Sec-Fetch-Site`` where they trust the connection, and ``Origin`` with every write; no page can
    change either (Fetch Metadata; Fetch, forbidden request-header). ``Sec-Fetch-Site`` is correct even if a server in
    front changes the Host.
    """
    site = request.headers.get(_SITE)
    if site is not None:
        return site not in _OWN
    origin = request.headers.get(hdrs.ORIGIN)
    return origin is not None and _authority(origin) != request.headers.get(hdrs.HOST, "").lower()


def is_secure(request: web.Request) -> bool:
    """Tell whether the page that asks came by https, as its browser says."""
    return request.headers.get(hdrs.ORIGIN, "").startswith("https://")


def _authority(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
