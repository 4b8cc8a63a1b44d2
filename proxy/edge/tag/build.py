"""Files shipped with the package, and answers prepared from them once at start."""

from collections.abc import Mapping

import orjson

from proxy.config.schema import Site
from proxy.edge.tag.consent_adapters import consent_script
from proxy.rules.request.sites import registrable
from proxy.static_files import Asset, static_file


def tag_of(site: Site) -> Asset:
    """Return the browser tag with a site's settings in it."""
    settings = {"__SITE__": _settings(site), "__ORDERS__": _orders(site)}
    if site.gpc == "ldu" or site.forwarded_pixel or (site.consent_from and not site.load_pixel):
        tag = _filled("tag.extras.min.js", settings | {"__EXTRAS__": _extras(site)})
    else:
        tag = _filled("tag.min.js", settings)
    return Asset.of(tag + _base_code(site) if site.load_pixel else tag.strip(b";\n"))


def trap_of(site: Site) -> str:
    """Return the script that stands in the page and keeps its calls until the tag is there."""
    return _filled("trap.min.js", {"__ORDERS__": _orders(site)}).decode().strip()


def _base_code(site: Site) -> bytes:
    ids = orjson.dumps([pixel.id for pixel in site.pixel]).decode()
    flags = f"{int(site.consent == 'required')},{int(site.gpc == 'drop')}"
    script = _filled("load.min.js", {"__PIXEL__": f"[{ids},{flags}]"})
    # The Pixel has to hear the answers too, and the tag hears all that `fbq` hears.
    asking = f"({consent_script(site, static_file)})(a=>fbq('consent',a))\n" if site.consent_from else ""
    return script + asking.encode()


def _filled(name: str, expressions: Mapping[str, str]) -> bytes:
    """Return a script of ``static/`` with expressions in place of strings that name them."""
    script = static_file(name)
    for placeholder, expression in expressions.items():
        text = _quoted(placeholder).encode()
        if script.count(text) != 1:
            raise ValueError(f"{name} must hold its placeholder {placeholder} exactly once")
        script = script.replace(text, expression.encode())
    return script


def _settings(site: Site) -> str:
    """Return what the tag takes for its ``Site`` (tag/settings.js)."""
    flags = (not site.route_page_views, site.consent == "required", site.gpc == "drop")
    words = [_quoted(site.collect_name), _cookie_place(site), *(str(int(flag)) for flag in flags)]
    return f"[{','.join(words)}]"


def _extras(site: Site) -> str:
    """Return what the tag takes for its ``Extras`` (tag/settings.js)."""
    asks = site.consent_from and not site.load_pixel
    words = [str(int(site.gpc == "ldu")), consent_script(site, static_file) if asks else "0"]
    if site.forwarded_pixel:
        words.append(orjson.dumps([pixel.id for pixel in site.pixel]).decode())
    return f"[{','.join(words)}]"


def _orders(site: Site) -> str:
    """Return what the id of an order begins with; where orders give no ids, another each time."""
    return _quoted(f"order-{site.name}-") if site.order_ids else 'Date.now()+""+Math.random()+"-"'


def _cookie_place(site: Site) -> str:
    """Return the domain of a page's cookies and what their values begin with; by the page's host where it depends.

    As the Pixel does it: the registrable domain, counted by its dots; none for an address or a name without dots.
    """
    # The longer first: the name of one may end with the other's.
    *others, last = sorted({registrable(domain) for domain in site.domains}, key=len, reverse=True)
    tests = (f"location.hostname.endsWith({_quoted(domain)})?[{_place(domain)}]:" for domain in others)
    return f"...{''.join(tests)}[{_place(last)}]" if others else _place(last)


def _place(domain: str) -> str:
    return f"{_quoted(domain)},{_quoted(f'fb.{domain.count(chr(46))}.')}"


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()
