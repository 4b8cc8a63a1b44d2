"""The tag and the trap as a site serves them: the built scripts of ``static/`` with the site's settings in them."""

from collections.abc import Mapping

import orjson

from proxy.config.schema import Site
from proxy.edge.tag.consent_adapters import consent_script
from proxy.rules.request.sites import registrable
from proxy.static_files import Asset, static_file


def tag_of(site: Site) -> Asset:
    """Return the browser tag with a site's settings in it.

    Raises:
        ValueError: when a built script lacks a placeholder.
    """
    tag = _tag(site, "")
    return Asset.of(tag + _base_code(site) if site.load_pixel else tag.strip(b";\n"))


def checked_tag_of(site: Site, shown_ms: int, end: str) -> bytes:
    """Return the tag with the install check's overlay, which shows the owner in the page what the tag does.

    Args:
        site: The site whose tag it is.
        shown_ms: For how many milliseconds the overlay is shown.
        end: The path that ends the check, on the host that the tag comes from.

    Raises:
        ValueError: when a built script lacks a placeholder.
    """
    # Only the tag gets the overlay's `fetch`, which passes calls on; the page's own `fetch` stays unchanged.
    address = f"new URL({_quoted(end)},document.currentScript.src).href"
    overlay = static_file("overlay.min.js").decode().strip()
    script = f"((watch,fetch)=>{{{_tag(site, '.check').decode()}}})(...({overlay})({shown_ms},{address}));\n"
    return script.encode() + (_base_code(site) if site.load_pixel else b"")


def _tag(site: Site, build: str) -> bytes:
    """Return the script of a build of the tag with a site's settings in it."""
    expressions = {"__SITE__": _settings(site), "__ORDERS__": _order_id_start(site)}
    if site.gpc == "ldu" or site.forwarded_pixel or (site.consent_from and not site.load_pixel):
        return _filled(f"tag.extras{build}.min.js", expressions | {"__EXTRAS__": _extras(site)})
    return _filled(f"tag{build}.min.js", expressions)


def trap_of(site: Site) -> str:
    """Return the trap: the script within the page that keeps the page's calls until the tag is loaded.

    Raises:
        ValueError: when the built script lacks its placeholder.
    """
    return _filled("trap.min.js", {"__ORDERS__": _order_id_start(site)}).decode().strip()


def _base_code(site: Site) -> bytes:
    """Return the script that loads the Pixel, and asks the consent managers that the site names."""
    ids = orjson.dumps([pixel.id for pixel in site.pixel]).decode()
    flags = f"{int(site.consent == 'required')},{int(site.gpc == 'drop')}"
    script = _filled("load.min.js", {"__PIXEL__": f"[{ids},{flags}]"})
    # The Pixel needs the answers too; calling `fbq` tells both, since the tag sees every call of `fbq`.
    consent = f"({consent_script(site, static_file)})(a=>fbq('consent',a))\n" if site.consent_from else ""
    return script + consent.encode()


def _filled(name: str, expressions: Mapping[str, str]) -> bytes:
    """Return a script of ``static/`` whose placeholders, which are string literals, are replaced by expressions."""
    script = static_file(name)
    for placeholder, expression in expressions.items():
        text = _quoted(placeholder).encode()
        if script.count(text) != 1:
            raise ValueError(f"{name} must hold its placeholder {placeholder} exactly once")
        script = script.replace(text, expression.encode())
    return script


def _settings(site: Site) -> str:
    """Return the JavaScript expression of the tag's ``Site`` (tag/settings.js)."""
    flags = (not site.route_page_views, site.consent == "required", site.gpc == "drop")
    items = [_quoted(site.collect_name), _cookie_settings(site), *(str(int(flag)) for flag in flags)]
    return f"[{','.join(items)}]"


def _extras(site: Site) -> str:
    """Return the JavaScript expression of the tag's ``Extras`` (tag/settings.js)."""
    asks = site.consent_from and not site.load_pixel
    items = [str(int(site.gpc == "ldu")), consent_script(site, static_file) if asks else "0"]
    if site.forwarded_pixel:
        items.append(orjson.dumps([pixel.id for pixel in site.pixel]).decode())
    return f"[{','.join(items)}]"


def _order_id_start(site: Site) -> str:
    """Return the JavaScript expression of how the event id of an order begins.

    For a site whose event ids are not made of order ids, it is that of any generated id: the current time in
    milliseconds, then a random part.
    """
    return _quoted(f"order-{site.name}-") if site.order_ids else 'Date.now()+""+Math.random()+"-"'


def _cookie_settings(site: Site) -> str:
    """Return the JavaScript expression of the domain of a page's cookies and of how their values begin.

    A site with several registrable domains gets a test of the page's host. As the Pixel does it: the registrable
    domain, and the number of its dots in the values; no domain for an IP address or a name without dots.
    """
    # The longest first, since one domain may end with the text of another.
    *domains, last = sorted({registrable(domain) for domain in site.domains}, key=len, reverse=True)
    tests = (f"location.hostname.endsWith({_quoted(domain)})?[{_domain_and_stamp(domain)}]:" for domain in domains)
    return f"...{''.join(tests)}[{_domain_and_stamp(last)}]" if domains else _domain_and_stamp(last)


def _domain_and_stamp(domain: str) -> str:
    return f"{_quoted(domain)},{_quoted(f'fb.{domain.count(chr(46))}.')}"


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()
