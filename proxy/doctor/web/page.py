"""Whether a page has the tag where it belongs, and whether its policy lets the tag work. Pure."""

import re
from collections.abc import Iterator, Sequence
from urllib.parse import urljoin, urlsplit

from proxy.doctor.finding import Finding
from proxy.doctor.web.csp import PagePolicy, hash_source, policies
from proxy.doctor.web.markup import Markup, PageScript, markup_of
from proxy.doctor.web.place import PublicPlace
from proxy.doctor.web.visitor import WebAnswer
from proxy.rules.request.sites import belongs

_ROCKET = re.compile(r"-text/javascript$|^text/rocketscript$")
_INIT = re.compile(r"""fbq\(\s*['"]init['"]\s*,\s*['"]?(\d{5,20})""")
_BASE_CODE = ("fbevents.js", "fbq('init'", 'fbq("init"')
_DERIVED = re.compile("/[a-z2-7]{8}")
_META_IMAGE = "facebook.com/tr"


def tag_scripts(markup: Markup, path: str, page: str) -> list[PageScript]:
    """Return the scripts of a page that are the tag.

    Args:
        markup: What was found in the page.
        path: The path of the tag, from the first slash.
        page: The page's address.
    """
    return [script for script in markup.scripts if address_of(script, markup, page).partition("?")[0].endswith(path)]


def address_of(script: PageScript, markup: Markup, page: str) -> str:
    """Return the absolute address of a script; empty if it is inline, or its address is not valid.

    Args:
        script: A script of the page.
        markup: What was found in the page.
        page: The page's address.
    """
    try:
        address = urljoin(urljoin(page, markup.base), script.src) if script.src else ""
        urlsplit(address).port  # noqa: B018 - raises for none that could be
    except ValueError:
        return ""
    return address


def findings(place: PublicPlace, answer: WebAnswer) -> Iterator[Finding]:
    """Yield what is wrong with a page."""
    markup = markup_of(answer.body.decode(errors="replace"))
    tags = tag_scripts(markup, f"{place.prefix}/{place.site.tag_name}", place.page)
    others = [] if tags else list(_foreign_tag_paths(place, markup))
    if others:
        tag = place.tag.removeprefix(place.origin)
        seen = f"the page has {others[0]}, and the current address is {tag}"
        yield Finding("page_other_prefix", place.page, seen, f'<script async src="{tag}"></script>')
    else:
        yield from _tag(place, tags)
    yield from _pixel(place, markup, tags)
    found = policies(answer.headers.getall("Content-Security-Policy", []), markup.policies)
    yield from _policy(place, found, markup, tags)


def _foreign_tag_paths(place: PublicPlace, markup: Markup) -> Iterator[str]:
    """Yield the paths of tags whose prefix comes from another secret: an earlier one, or another installation's."""
    for script in markup.scripts:
        parts = urlsplit(address_of(script, markup, place.page))
        prefix, _, leaf = parts.path.rpartition("/")
        is_derived = prefix in place.old_prefixes or _DERIVED.fullmatch(prefix)
        if leaf == place.site.tag_name and is_derived and belongs(place.site, parts.hostname or ""):
            yield parts.path


def _tag(place: PublicPlace, tags: Sequence[PageScript]) -> Iterator[Finding]:
    page, tag = place.page, place.tag.removeprefix(place.origin)
    line = f'<script async src="{tag}"></script>'
    if not tags:
        snippet = line if place.site.load_pixel else f"<script>{place.trap}</script>\n{line}"
        yield Finding("page_without_tag", page, f"no script {tag}", snippet)
        return
    if len(tags) > 1:
        yield Finding("page_tag_twice", page, f"{len(tags)} scripts {tag}")
    if any(script.integrity for script in tags):
        yield Finding("page_tag_bound", page, "the tag's element has integrity", line)
    if any(_ROCKET.search(script.kind) for script in tags):
        paste = f'<script data-cfasync="false" async src="{tag}"></script>'
        yield Finding("page_rocket_loader", page, f"the tag's element has type {tags[0].kind}", paste)


def _pixel(place: PublicPlace, markup: Markup, tags: Sequence[PageScript]) -> Iterator[Finding]:
    page, site = place.page, place.site
    base = [script for script in markup.scripts if any(word in script.text + script.src for word in _BASE_CODE)]
    if site.load_pixel:
        return
    trap = [script for script in markup.scripts if script.text.strip() == place.trap.strip()]
    if not base:
        yield Finding("page_without_pixel", page, "no base code of Meta's")
    elif tags and (first := min([*trap, *tags], key=lambda script: script.place)).place > base[0].place:
        seen = f"the base code is script {base[0].place + 1} of the page, and the snippet begins with {first.place + 1}"
        yield Finding("page_pixel_first", page, seen)
    if tags and not trap:
        yield Finding("page_without_trap", page, "the tag alone", f"<script>{place.trap}</script>")
    listed = {pixel.id for pixel in site.pixel}
    if others := sorted({match for script in base for match in _INIT.findall(script.text)} - listed):
        paste = "\n".join(
            f'[[site.pixel]]\nid = "{pixel}"\naccess_token = "env:META_TOKEN_{pixel}"' for pixel in others
        )
        yield Finding("page_other_pixels", page, f"the page begins {', '.join(others)}", paste)
    images = [image for image in markup.images if _META_IMAGE in image]
    if images and any(place.site.image_name in image for image in markup.images):
        yield Finding("page_noscript_image", page, "Meta's image stands beside the snippet's own")


def _policy(
    place: PublicPlace, found: Sequence[PagePolicy], markup: Markup, tags: Sequence[PageScript]
) -> Iterator[Finding]:
    page, base = place.page, place.base
    source = "'self'" if base == place.origin else base
    nonce = tags[0].nonce if tags else ""
    if any(not policy.allows_script(place.tag, nonce=nonce, page=page) for policy in found):
        with_nonce = any(
            "'nonce-" in value for policy in found for values in policy.directives.values() for value in values
        )
        paste = '<script nonce="<the page\'s nonce>" async src=…>' if with_nonce else f"script-src {source}"
        yield Finding("csp_script", page, f"its policy does not allow {place.tag}", paste)
    if not place.site.load_pixel and any(
        not policy.allows_inline(place.trap, nonce=_nonce_of_trap(place, markup)) for policy in found
    ):
        yield Finding(
            "csp_trap", page, "its policy does not allow the inline script", f"script-src {hash_source(place.trap)}"
        )
    if any(not policy.allows_connect(place.collect, page=page) for policy in found):
        yield Finding("csp_connect", page, f"its policy does not allow {place.collect}", f"connect-src {source}")
    if any(not policy.allows_image(place.image, page=page) for policy in found):
        yield Finding("csp_image", page, f"its policy does not allow {place.image}", f"img-src {source}")


def _nonce_of_trap(place: PublicPlace, markup: Markup) -> str:
    return next((script.nonce for script in markup.scripts if script.text.strip() == place.trap.strip()), "")
