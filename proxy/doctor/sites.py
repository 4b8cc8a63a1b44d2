"""Whether a site is filled in, and whether its public addresses are ones that filter lists know."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from proxy.config.load import Config
from proxy.config.schema import Site
from proxy.doctor.finding import Finding, is_for_meta
from proxy.doctor.listed_addresses import concerns
from proxy.installation import Installation
from proxy.rules.request.sites import is_public_suffix

_EXAMPLES = ("example", "example.com", "example.net", "example.org")  # RFC 2606
_EXAMPLE_PIXEL = "1234567890"


def findings(config: Config) -> Iterator[Finding]:
    """Yield what is wrong or doubtful about each site."""
    for index, site in enumerate(config.settings.site):
        path = f"site[{index}]"
        yield from _domains(path, site)
        if is_for_meta(config.settings):
            yield from _placeholders(path, site)
        for concern in concerns(site, _prefix(config, site)):
            seen = f"{concern.value!r} makes {concern.address}, which rules of {concern.lists} match"
            yield Finding("address_listed", f"{path}.{concern.key}", f"{seen}; better: {concern.better}")
        yield from _test_codes(path, site)
        yield from _people(path, site)


def _prefix(config: Config, site: Site) -> str:
    try:
        installation = Installation.existing(config)
    except (OSError, UnicodeDecodeError):
        installation = Installation(config, "")  # there is a finding about data_dir already
    return installation.prefixes(site)[0]


def _domains(path: str, site: Site) -> Iterator[Finding]:
    for number, domain in enumerate(site.domains):
        if is_public_suffix(domain):
            yield Finding("domain_is_public_suffix", f"{path}.domains[{number}]", f"{domain!r} is everybody's")


def _placeholders(path: str, site: Site) -> Iterator[Finding]:
    for number, domain in enumerate(site.domains):
        if domain in _EXAMPLES or domain.endswith(tuple(f".{example}" for example in _EXAMPLES)):
            yield Finding("domain_placeholder", f"{path}.domains[{number}]", f"{domain!r} is the example's")
    for number, pixel in enumerate(site.pixel):
        if pixel.id == _EXAMPLE_PIXEL:
            yield Finding("pixel_placeholder", f"{path}.pixel[{number}].id", f"{pixel.id!r} is the example's")


def _test_codes(path: str, site: Site) -> Iterator[Finding]:
    today = datetime.now(UTC).date()
    for number, pixel in enumerate(site.pixel):
        key = f"{path}.pixel[{number}].test_event_code"
        if pixel.test_event_code and pixel.test_event_until is None:
            paste = f"test_event_until = {today + timedelta(days=1)}"
            yield Finding("test_code_endless", key, "set without test_event_until", paste)
        elif pixel.test_event_code and pixel.test_event_until and pixel.test_event_until < today:
            yield Finding("test_code_over", key, f"ignored since {pixel.test_event_until} is over")


def _people(path: str, site: Site) -> Iterator[Finding]:
    has_servers = bool(site.access_keys or site.webhook)
    if "orders" in site.model_fields_set and not has_servers:
        seen = "none, nor a [[site.webhook]]: no server can send the orders of this site"
        yield Finding("orders_without_server", f"{path}.access_keys", seen)
    written = site.orders.unknown_people
    is_meant = has_servers and "unknown_people" in site.orders.model_fields_set
    if is_meant and site.unknown_people != written:
        seen = f'{written!r} has no effect under consent = "required"'
        yield Finding("unknown_people_without_effect", f"{path}.orders.unknown_people", seen)
