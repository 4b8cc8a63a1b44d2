"""Findings about DNS: where the names of site and proxy lead."""

from proxy.doctor.catalogue.row import DOUBT, FAILURE, NOTE, UNSEEN, CatalogueRow

ROWS = {
    "public_skipped": CatalogueRow(
        NOTE,
        "public addresses that were not looked at",
        "events go to a simulator, so the names of the configuration may be made up",
        "name the address with --url or the site's public_url where it is to be looked at",
    ),
    "network_skipped": CatalogueRow(
        UNSEEN,
        "a network that was not asked",
        "names, TLS, tag, page, round trip and Graph are not known",
        "run the check without --offline",
    ),
    "name_unseen": CatalogueRow(
        UNSEEN,
        "a name that no name server answered for",
        "whether visitors find the proxy is not known",
        "see that this machine may ask a name server, or run the check where one can be asked",
    ),
    "name_missing": CatalogueRow(
        FAILURE,
        "a public name without an address",
        "no visitor finds it, so nothing is collected",
        "add the record",
    ),
    "name_private": CatalogueRow(
        FAILURE,
        "a public name that leads to a private address",
        "no visitor outside your network finds it",
        "publish the public address of the web server",
    ),
    "cname_out": CatalogueRow(
        DOUBT,
        "a CNAME that leads out of the site",
        "uBlock Origin, Brave and name-server blockers judge the name behind it, and Safari cuts cookies to 7 days",
        "replace it by A and AAAA records, or serve the proxy on a path of the site itself",
    ),
    "address_far": CatalogueRow(
        DOUBT,
        "a proxy whose address is far from the site's",
        "Safari 16.4 and later keeps its cookies for 7 days, unless the first half of both addresses is the same"
        " (IPv4 /16, IPv6 /64)",
        "serve the proxy on a path of the site itself, or put both behind one address",
    ),
    "ipv6_missing": CatalogueRow(
        NOTE,
        "a name without an AAAA record",
        "visitors reach it by IPv4 alone, and Meta matches IPv6 addresses better",
        "add an AAAA record where the web server has such an address",
    ),
    "ipv6_of_proxy_missing": CatalogueRow(
        DOUBT,
        "a site with IPv6, and a proxy without",
        "page and proxy see different addresses of one visitor, which Meta shows as a fault of the pair",
        "add an AAAA record for the proxy as well",
    ),
    "www_elsewhere": CatalogueRow(
        DOUBT,
        "a www name that leads elsewhere than the domain",
        "pages on both need the rule for the proxy, and only one server may have it",
        "redirect one to the other, or add the rule to both",
    ),
}
