"""The dashboard: files of ``static/`` that ask the API, and load nothing from elsewhere."""

from aiohttp import hdrs, web

from proxy.static_files import static_file, static_names

_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FILES = {
    "/": ("operator.html", "text/html"),
    **{f"/{name}": (name, kind) for suffix, kind in _KINDS.items() for name in static_names(f"operator*{suffix}")},
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


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
