"""Security headers of the operator listener: its answers load nothing from elsewhere, and no other site shows them."""

from aiohttp import hdrs, web

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of the pages: nothing inline, and nothing from another origin."""
_POLICY = "Content-Security-Policy"
_HEADERS = {
    _POLICY: "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    hdrs.CACHE_CONTROL: "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}


async def add_security_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Add those of the headers that an answer does not set itself."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
