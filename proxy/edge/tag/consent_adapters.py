"""The part of a site's tag that asks consent managers in the page, made of the adapters the site names."""

from collections.abc import Callable, Mapping

import orjson

from proxy.config.schema import Cmp, ConsentSource, Site

_WORDS: Mapping[ConsentSource, Callable[[Cmp], object]] = {
    "axeptio": lambda cmp: cmp.axeptio_vendor,
    "borlabs": lambda cmp: cmp.borlabs_service,
    "consent_mode": lambda cmp: cmp.consent_mode_layer,
    "didomi": lambda cmp: cmp.didomi_vendor,
    "iubenda": lambda cmp: cmp.iubenda_purpose,
    "klaro": lambda cmp: cmp.klaro_service,
    "onetrust": lambda cmp: cmp.onetrust_group,
    "tarteaucitron": lambda cmp: cmp.tarteaucitron_service,
    "tcf": lambda cmp: [cmp.tcf_purposes, cmp.tcf_vendor, cmp.tcf_provider],
    "trustarc": lambda cmp: cmp.trustarc_category,
    "usercentrics": lambda cmp: cmp.usercentrics_service,
}


def ask_of(site: Site, read: Callable[[str], bytes]) -> str:
    """Return the script of a function that takes what tells consent, or nothing where nobody is asked.

    ``read`` returns a file of ``static/`` by its name.
    """
    if not site.consent_from:
        return ""

    def part(name: str) -> str:
        return read(f"consent/{name}.min.js").decode().strip()

    def source(name: ConsentSource) -> str:
        words = f",{orjson.dumps(_WORDS[name](site.cmp)).decode()}" if name in _WORDS else ""
        return f"[{part(name)}{words}]"

    sources = ",".join(map(source, site.consent_from))
    return f"a=>({part('ask')})(a,{int(site.cmp.implied)},{sources})"
