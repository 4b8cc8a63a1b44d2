"""Findings about a round trip: what of a visitor's request reaches the proxy, and what of its answer comes back."""

from proxy.doctor.catalogue.row import DOUBT, FAILURE, NOTE, UNSEEN, CatalogueRow

ROWS = {
    "probe_unseen": CatalogueRow(
        UNSEEN,
        "a running proxy that could not be asked what it sees",
        "whose address and which host it sees is not known",
        "start the proxy with this configuration, and let the web server pass on all that is below the prefix",
    ),
    "collect_redirected": CatalogueRow(
        FAILURE,
        "a redirect where events are posted",
        "a POST becomes a GET without a body, so every event is lost",
        "name the final address in the page, or take the path out of the redirect",
    ),
    "collect_not_proxied": CatalogueRow(
        FAILURE,
        "events that do not reach the proxy",
        "the web server answers in its place, and they are lost or wait in the browser",
        "let the web server pass on all that is below the prefix, POST too",
    ),
    "collect_refused": CatalogueRow(
        FAILURE,
        "a page of the site that the proxy refuses",
        "every event of that page gets 403",
        "list the page's host in domains",
    ),
    "cors_changed": CatalogueRow(
        FAILURE,
        "CORS headers that are changed on their way",
        "a browser gives an answer to the tag only if exactly one Access-Control-Allow-Origin names the page; else the"
        " tag sends again and again",
        "take the headers out of the web server's rules: the proxy writes them",
    ),
    "cookie_stripped": CatalogueRow(
        FAILURE,
        "Set-Cookie that does not come back",
        "no visitor is known again, and Safari's week is not lengthened",
        "let caches and the web server keep Set-Cookie on the paths of the proxy",
    ),
    "cookie_changed": CatalogueRow(
        DOUBT,
        "Set-Cookie that is changed on its way",
        "another Domain, Path, SameSite or lifetime makes a second cookie, or none",
        "take proxy_cookie_… and header rules out of the location",
    ),
    "cookie_not_forwarded": CatalogueRow(
        FAILURE,
        "cookies that do not reach the proxy",
        "_fbp and _fbc are lost, and each event is a new visitor",
        "let the web server or CDN pass Cookie on for the paths of the proxy",
    ),
    "host_changed": CatalogueRow(
        FAILURE,
        "a Host that is not the one asked for",
        "the proxy finds another site or none, and sets its cookies for the wrong domain",
        "pass the Host on",
    ),
    "scheme_unknown": CatalogueRow(
        DOUBT,
        "https that reaches the proxy as http",
        "the proxy cannot tell pages that came unencrypted",
        "pass the scheme on",
    ),
    "address_of_web_server": CatalogueRow(
        FAILURE,
        "the web server's address in place of the visitor's",
        "all visitors look alike: Meta matches none by address, and limits hit all at once",
        "trust the web server, and let it say whom it speaks for",
    ),
    "address_header_missing": CatalogueRow(
        FAILURE,
        "a trusted web server that does not say whom it speaks for",
        "events carry no address, and Meta matches fewer of them",
        "write the header",
    ),
    "address_not_own": CatalogueRow(
        DOUBT,
        "another address than this machine's",
        "behind a CDN that is the CDN's own unless its header is read, and all visitors of one place look alike",
        "set client_ip_preset, or trust the CDN's networks",
    ),
    "address_forgeable": CatalogueRow(
        FAILURE,
        "an address that any visitor can write",
        "events can be given to whomever a stranger likes, and limits can be evaded",
        "overwrite the header in the web server that visitors reach first",
    ),
    "host_forgeable": CatalogueRow(
        DOUBT,
        "a host that any visitor can write",
        "X-Forwarded-Host of a stranger reaches the proxy, which believes the web server",
        "overwrite the header",
    ),
    "version_differs": CatalogueRow(
        NOTE,
        "a running proxy of another version",
        "what this check knows may not be what runs",
        "restart the proxy after an upgrade",
    ),
}
