"""Findings about the tag as visitors get it."""

from proxy.doctor.catalogue.row import DOUBT, FAILURE, NOTE, UNSEEN, CatalogueRow

ROWS = {
    "tag_unseen": CatalogueRow(
        UNSEEN,
        "a tag that could not be asked for",
        "whether pages load it is not known",
        "see that the web server answers, and run the check again",
    ),
    "tag_challenged": CatalogueRow(
        UNSEEN,
        "a bot protection that answers in place of the tag",
        "this check is no browser; but visitors who are challenged send nothing either",
        "let the paths of the proxy through without a challenge",
    ),
    "tag_not_found": CatalogueRow(
        FAILURE,
        "no tag at its address",
        "the web server does not pass the path on, often since a rule for static files takes every .js",
        "add the rule that `capi-proxy snippet` prints, before rules for static files",
    ),
    "tag_host_unknown": CatalogueRow(
        FAILURE,
        "a proxy that knows no such site or path",
        "the Host it gets is of no site, the running proxy has an older configuration, or its secret is another, which"
        " makes another path",
        "let the web server keep the Host, restart the proxy, and print the snippet anew",
    ),
    "tag_failing": CatalogueRow(
        FAILURE,
        "an error in place of the tag",
        "nothing is collected while it lasts",
        "start the proxy, and look at the web server's error log",
    ),
    "tag_is_page": CatalogueRow(
        FAILURE,
        "a page in place of the tag",
        "a catch-all rule for the routes of a single-page app takes the path; browsers refuse HTML as a script",
        "add the rule that `capi-proxy snippet` prints, before the catch-all rule",
    ),
    "tag_redirected": CatalogueRow(
        DOUBT,
        "a redirect before the tag",
        "events follow no redirect: a POST becomes a GET without a body",
        "name the final address in the page, or take the path out of the redirect",
    ),
    "tag_type": CatalogueRow(
        FAILURE,
        "a tag that is not called JavaScript",
        "with nosniff browsers refuse to run it",
        "let the web server keep the proxy's Content-Type",
    ),
    "tag_changed": CatalogueRow(
        FAILURE,
        "a tag that is changed on its way",
        "a minifier or optimizer that rewrites it can break it, and nobody tested what it makes",
        "switch it off for the paths of the proxy (Cloudflare: Auto Minify, Rocket Loader)",
    ),
    "tag_other_build": CatalogueRow(
        DOUBT,
        "a tag of other settings or another version",
        "a cache keeps an older tag, or the running proxy has not read this configuration yet",
        "restart the proxy, and purge the cache",
    ),
    "tag_kept_long": CatalogueRow(
        DOUBT,
        "a tag that browsers keep for longer than an hour",
        "a change of settings reaches visitors late, and a mistake stays with them",
        "let the web server keep the proxy's Cache-Control",
    ),
    "tag_not_kept": CatalogueRow(
        NOTE,
        "a tag that no browser keeps",
        "each page loads it again",
        "let the web server keep the proxy's Cache-Control",
    ),
    "tag_with_cookie": CatalogueRow(
        DOUBT,
        "a cookie set with the tag",
        "caches that keep the answer give one visitor's cookie to others, or keep nothing at all",
        "set no cookie on the paths of the proxy",
    ),
    "tag_not_compressed": CatalogueRow(
        NOTE,
        "a tag that is not compressed",
        "it takes twice the bytes",
        "let the web server pass Accept-Encoding on, or compress text/javascript itself",
    ),
}
