"""Findings about TLS: what a browser would say of the certificate."""

from proxy.doctor.catalogue.row import DOUBT, FAILURE, UNSEEN, CatalogueRow

ROWS = {
    "tls_unseen": CatalogueRow(
        UNSEEN,
        "a public address that could not be reached",
        "certificate, tag and round trip are not known",
        "see that the web server runs, and that this machine may reach it",
    ),
    "tls_missing": CatalogueRow(
        FAILURE,
        "no TLS where https is expected",
        "no page that came by https can load the tag",
        "get a certificate, and let the web server listen with it",
    ),
    "tls_expired": CatalogueRow(
        FAILURE, "a certificate that is over", "browsers refuse the tag and every event", "renew it"
    ),
    "tls_ends_soon": CatalogueRow(
        DOUBT,
        "a certificate that ends within 14 days",
        "renewal usually happens 30 days before, so it may have failed",
        "look at the log of what renews it",
    ),
    "tls_wrong_name": CatalogueRow(
        FAILURE,
        "a certificate for other names",
        "browsers refuse the tag and every event",
        "get one that has this name",
    ),
    "tls_chain": CatalogueRow(
        FAILURE,
        "a certificate that nobody vouches for",
        "browsers refuse it, or those do that have no copy of the certificate in between",
        "let the web server send the whole chain, fullchain.pem with certbot",
    ),
    "tls_refused": CatalogueRow(
        FAILURE,
        "a server that speaks no TLS of today",
        "browsers speak TLS 1.2 and 1.3 only",
        "allow both",
    ),
    "tls_old_protocol": CatalogueRow(
        DOUBT,
        "TLS 1.0 or 1.1 is accepted",
        "both were given up in 2021 (RFC 8996), and audits for card payments fail for them",
        "allow TLS 1.2 and 1.3 only",
    ),
    "plain_http_serves": CatalogueRow(
        DOUBT,
        "the site answers over plain HTTP without a redirect",
        "pages that came so may not send: their events are refused with 403",
        "redirect to https",
    ),
}
