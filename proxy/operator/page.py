"""The dashboard: files of ``static/`` that ask the API, and load nothing from elsewhere."""

from aiohttp import hdrs, web

from proxy.static_files import static_file

_SCRIPTS = (
    "operator.js",
    "operator-ask.js",
    "operator-dead.js",
    "operator-elements.js",
    "operator-events.js",
    "operator-health.js",
    "operator-words.js",
)
_STYLES = ("operator.css", "operator-base.css", "operator-tables.css")
_FILES = {
    "/": ("operator.html", "text/html"),
    **{f"/{name}": (name, "text/javascript") for name in _SCRIPTS},
    **{f"/{name}": (name, "text/css") for name in _STYLES},
}
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'"


class Page:
    """Answers browsers."""

    def __init__(self) -> None:
        self._files = {path: (static_file(name), kind) for path, (name, kind) in _FILES.items()}

    def add_to(self, app: web.Application) -> None:
        """Add the addresses of the page."""
        for path in self._files:
            app.router.add_get(path, self._file)

    async def _file(self, request: web.Request) -> web.Response:
        body, kind = self._files[request.path]
        headers = {"Content-Security-Policy": _POLICY, hdrs.CACHE_CONTROL: "no-store"}
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)
