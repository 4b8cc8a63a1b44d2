"""Findings about Meta's Graph API: the connection to it, the clock, the tokens, the version, test events."""

from proxy.doctor.catalogue.row import DOUBT, FAILURE, NOTE, UNSEEN, CatalogueRow

ROWS = {
    "graph_unseen": CatalogueRow(
        UNSEEN,
        "Graph could not be reached",
        "whether events can be delivered from here, and whether this clock is right, is not known",
        "open the way to graph.url, port 443",
    ),
    "clock_off": CatalogueRow(
        FAILURE,
        "a clock that differs from Meta's by more than a minute",
        "Meta refuses events from the future, and joins pairs by their time",
        "switch on time synchronisation",
    ),
    "token_refused": CatalogueRow(
        FAILURE,
        "a token that Meta refuses",
        "the pixel is paused, and its events wait until they are too old",
        "generate another in Events Manager, Settings, Conversions API",
    ),
    "token_ends_soon": CatalogueRow(
        DOUBT,
        "a token that ends within 14 days",
        "the pixel pauses when it is over",
        "use a token of a system user, which does not expire",
    ),
    "token_scopes": CatalogueRow(
        DOUBT,
        "a token that may read, as it seems, and not write",
        "Meta may refuse its events, which then wait until they are too old",
        "generate one in Events Manager, Settings, Conversions API; a test event shows: capi-proxy check --send-test",
    ),
    "token_unseen": CatalogueRow(
        UNSEEN,
        "a token that could not be looked at",
        "whether Meta takes it, and for how long, is not known",
        "send a test event: capi-proxy check --send-test",
    ),
    "version_over": CatalogueRow(
        FAILURE,
        "a Graph version that is over",
        "what Meta answers to it is not documented, and events may be refused",
        "use a newer one",
    ),
    "version_ends_soon": CatalogueRow(
        DOUBT,
        "a Graph version that ends within 90 days",
        "what Meta answers afterwards is not documented, and events may be refused",
        "use a newer one, and upgrade the proxy before",
    ),
    "version_unknown": CatalogueRow(
        NOTE,
        "a Graph version that this proxy does not know",
        "its end is not known here, and nothing was tested with it",
        "use one of those that the proxy was tested with",
    ),
    "test_event_taken": CatalogueRow(
        NOTE,
        "a test event that Graph took",
        "token, pixel and network are right",
        "nothing; it is shown in Events Manager, Test events, while that page's code is the one that was sent",
    ),
    "test_event_refused": CatalogueRow(
        FAILURE,
        "a test event that Graph refused",
        "real events would be refused as well",
        "do what Meta's words say; mostly token and pixel do not belong together",
    ),
    "test_event_unsent": CatalogueRow(
        UNSEEN,
        "a test event that brought no answer",
        "whether Meta takes events is not known",
        "run it again when Graph can be reached",
    ),
}
