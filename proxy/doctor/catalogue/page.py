"""Findings about a page of the site: whether it has the tag, and whether it lets the tag work."""

from proxy.doctor.catalogue.row import DOUBT, FAILURE, NOTE, UNSEEN, CatalogueRow

ROWS = {
    "page_unseen": CatalogueRow(
        UNSEEN,
        "a page that could not be looked at",
        "whether it has the tag, and lets it work, is not known",
        "look at the page's source, or run the check where the page answers",
    ),
    "page_without_tag": CatalogueRow(
        DOUBT,
        "a page without the tag",
        "unless a tag manager adds it, nothing is collected",
        "paste what `capi-proxy snippet` prints",
    ),
    "page_other_prefix": CatalogueRow(
        DOUBT,
        "a tag below a path of another secret",
        "the path of an earlier secret is served while that is in old_secrets; that of another is not served at all",
        "print the snippet anew, and paste it",
    ),
    "page_without_pixel": CatalogueRow(
        NOTE,
        "a page without Meta's base code",
        "unless a tag manager adds it, there are no calls to mirror",
        "put it behind the snippet, or set load_pixel = true",
    ),
    "page_pixel_first": CatalogueRow(
        DOUBT,
        "Meta's base code before the snippet",
        "calls before the snippet get no id of ours, so Meta may count them twice",
        "move the snippet right before the base code",
    ),
    "page_without_trap": CatalogueRow(
        DOUBT,
        "the tag without the script before it",
        "calls before the tag has come get no id of ours, so Meta may count them twice",
        "paste both lines that `capi-proxy snippet` prints",
    ),
    "page_tag_twice": CatalogueRow(
        NOTE,
        "the tag twice in one page",
        "the second copy does nothing but cost time",
        "remove it",
    ),
    "page_tag_bound": CatalogueRow(
        DOUBT,
        "a tag bound to its hash (integrity)",
        "the next version, or the next change of settings, is refused by every browser",
        "remove the attribute",
    ),
    "page_rocket_loader": CatalogueRow(
        DOUBT,
        "a page whose scripts Rocket Loader runs later",
        "the snippet would run after the base code, and calls before it get no id of ours",
        "mark the snippet's lines with data-cfasync",
    ),
    "page_other_pixels": CatalogueRow(
        DOUBT,
        "a Pixel in the page that the configuration does not list",
        "its events are dropped as unknown_pixel",
        "add it to the configuration, unless it is somebody else's",
    ),
    "page_noscript_image": CatalogueRow(
        NOTE,
        "Meta's image for browsers without scripts",
        "beside the snippet's own image such a visit counts twice",
        "keep one of the two",
    ),
    "csp_script": CatalogueRow(
        FAILURE,
        "a Content-Security-Policy that stops the tag",
        "browsers refuse to load it, so nothing is collected",
        "allow its address in script-src",
    ),
    "csp_trap": CatalogueRow(
        DOUBT,
        "a Content-Security-Policy that stops the script before the tag",
        "calls before the tag has come get no id of ours, so Meta may count them twice",
        "allow its hash in script-src, or give it the page's nonce",
    ),
    "csp_connect": CatalogueRow(
        FAILURE,
        "a Content-Security-Policy that stops the events",
        "the tag loads, and none of its events arrives",
        "allow the proxy in connect-src",
    ),
    "csp_image": CatalogueRow(
        NOTE,
        "a Content-Security-Policy that stops the image",
        "visits without scripts are not counted",
        "allow the proxy in img-src",
    ),
}
