"""The dashboard: files of ``static/`` that ask the API, and load nothing from elsewhere."""

from aiohttp import web

from proxy.operator.headers import PAGE_POLICY
from proxy.static_files import static_file, static_names

_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FILES = {
    "/": ("operator.html", "text/html"),
    "/login": ("operator-login.html", "text/html"),
    **{f"/{name}": (name, kind) for suffix, kind in _KINDS.items() for name in static_names(f"operator*{suffix}")},
}


class Page:
    """Answers browsers."""

    def __init__(self) -> None:
        self._files = {path: (static_file(name), kind) for path, (name, kind) in _FILES.items()}

    def add_to(self, app: web.Application) -> None:
        """Add the routes of the pages and their files."""
        for path in self._files:
            app.router.add_get(path, self._file)

    async def _file(self, request: web.Request) -> web.Response:
        body, kind = self._files[request.path]
        headers = {"Content-Security-Policy": PAGE_POLICY}
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)
