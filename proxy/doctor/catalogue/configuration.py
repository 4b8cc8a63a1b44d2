"""Findings that are seen in the configuration alone."""

from proxy.doctor.catalogue.row import DOUBT, FAILURE, NOTE, CatalogueRow

ROWS = {
    "domain_is_public_suffix": CatalogueRow(
        FAILURE,
        "a public suffix among the domains",
        "strangers have sites below it, and each of their pages could send events in your name",
        "name your own site below it",
    ),
    "domain_placeholder": CatalogueRow(
        FAILURE,
        "a domain of the example",
        "every event of your own pages would be refused with 403",
        "put the domain of your site",
    ),
    "pixel_placeholder": CatalogueRow(
        FAILURE,
        "the pixel id of the example",
        "Meta would refuse every event, or count it for somebody else",
        "put the id that Events Manager shows for your dataset",
    ),
    "token_short": CatalogueRow(
        DOUBT,
        "an access token too short to be Meta's",
        "Meta would refuse it, and events would wait until they are too old",
        "generate one in Events Manager, Settings, Conversions API, and paste it whole",
    ),
    "secret_absent": CatalogueRow(
        NOTE,
        "no server.secret",
        "what waits can be opened only with the secret that is kept beside it in data_dir",
        "set one, or back data_dir up as a whole",
    ),
    "secret_weak": CatalogueRow(
        FAILURE,
        "a secret that can be guessed",
        "whoever guesses it opens what waits, and forges visitor cookies",
        "draw one at random, and list the present one in old_secrets",
    ),
    "old_secret_current": CatalogueRow(
        DOUBT,
        "the current secret among old_secrets",
        "the secret was not changed where somebody thought it was",
        "draw a new secret, or remove it from old_secrets",
    ),
    "password_weak": CatalogueRow(
        FAILURE,
        "a password to guess, on a listener that others reach",
        "whoever guesses it reads the ledger, pauses pixels and erases events",
        "draw one at random",
    ),
    "password_weak_on_loopback": CatalogueRow(
        NOTE,
        "a password to guess, on loopback",
        "users of this machine could guess it",
        "draw one at random",
    ),
    "access_key_guessable": CatalogueRow(
        FAILURE,
        "an access key to guess, or a placeholder",
        "whoever guesses it writes events to your pixels",
        "draw one at random, and put it into the programs that send",
    ),
    "access_key_short": CatalogueRow(
        DOUBT,
        "an access key that is short or repeats itself",
        "it takes fewer guesses than it should",
        "draw one at random",
    ),
    "access_key_characters": CatalogueRow(
        NOTE,
        "an access key with characters that an address changes",
        "a program that sends it in a query must escape it, or is refused",
        "letters, digits, - . _ and ~ alone (RFC 3986)",
    ),
    "graph_plain_http": CatalogueRow(
        FAILURE,
        "Graph asked without TLS",
        "access tokens and events would cross the network for everybody to read",
        "use https",
    ),
    "trusted_proxies_wide": CatalogueRow(
        FAILURE,
        "strangers among the trusted proxies",
        "any of them writes whom an event is from, so addresses are worth nothing",
        "list the web server in front, and nothing wider",
    ),
    "trusted_proxies_empty": CatalogueRow(
        DOUBT,
        "nobody trusted, though a web server stands in front",
        "every visitor would have the web server's address, and Meta could match none by it",
        "list the web server's address",
    ),
    "listener_plain_http": CatalogueRow(
        DOUBT,
        "the public listener takes plain HTTP from everybody",
        "whoever goes past the web server sends contact data unencrypted",
        "listen on the address by which the web server reaches the proxy",
    ),
    "operator_listener_open": CatalogueRow(
        FAILURE,
        "the operator listener open to the world over plain HTTP",
        "its password, and all that the dashboard shows, can be read on the way",
        "listen on loopback, and reach it by ssh -L or through a web server with TLS",
    ),
    "operator_listener_network": CatalogueRow(
        DOUBT,
        "the operator listener on a network, over plain HTTP",
        "who is on that network can read its password on the way; within a container that publishes no port, nobody is",
        "listen on loopback, and reach it by ssh -L or through a web server with TLS",
    ),
    "address_listed": CatalogueRow(
        DOUBT,
        "a public address that filter lists match",
        "blockers would stop the tag or its events, which is what the proxy is to prevent",
        "leave the setting empty, or take a word of the shop itself",
    ),
    "test_code_endless": CatalogueRow(
        DOUBT,
        "a test code without an end",
        "test events count in reports and reach audiences, and with a forgotten code every real event is a test event",
        "give it an end",
    ),
    "test_code_over": CatalogueRow(
        NOTE,
        "a test code whose end has passed",
        "it is ignored, so events are real ones",
        "remove both keys, or set another end",
    ),
    "orders_without_server": CatalogueRow(
        DOUBT,
        "settings for orders that no server can send",
        "without access_keys or a [[site.webhook]] they have no effect",
        "add an access key or a webhook, or remove [site.orders]",
    ),
    "unknown_people_without_effect": CatalogueRow(
        DOUBT,
        "unknown_people that consent overrules",
        'under consent = "required" server events of people never seen here are dropped, whatever is written',
        "remove the key, or change consent",
    ),
}
