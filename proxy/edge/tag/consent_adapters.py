"""The part of a site's tag that asks consent managers in the page, made of the adapters the site names."""

from collections.abc import Callable

import orjson

from proxy.config.consent_managers import CONSENT_MANAGERS, ConsentManager
from proxy.config.schema import CmpSettings, Site


def consent_script(site: Site, read: Callable[[str], bytes]) -> str:
    """Return the source of a JavaScript function that takes a listener and calls it with "grant" or "revoke".

    The source is empty when the site names no consent manager. ``read`` returns a file of ``static/`` by its name.
    """
    if not site.consent_from:
        return ""

    def expression(file: str) -> str:
        return read(file).decode().strip()

    def source(manager: ConsentManager) -> str:
        return f"[{expression(manager.adapter)}{_argument(manager, site.cmp)}]"

    sources = ",".join(source(CONSENT_MANAGERS[name]) for name in site.consent_from)
    return f"a=>({expression('consent/ask.min.js')})(a,{int(site.cmp.implied)},{sources})"


def _argument(manager: ConsentManager, cmp: CmpSettings) -> str:
    """Return the argument after the adapter, with its comma: the value of its option, a list of several, or nothing."""
    values = [getattr(cmp, option.name) for option in manager.options]
    return f",{orjson.dumps(values if len(values) > 1 else values[0]).decode()}" if values else ""
