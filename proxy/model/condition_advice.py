"""What each condition means to the owner and what to do about it: the words of alerts and commands.

The dashboard has words of its own, which use subject and detail (``operator-words.js``).
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from proxy.model.condition import ConditionCode


class ConditionAdvice(NamedTuple):
    """What to tell somebody who is not looking at the dashboard."""

    title: str
    """What is wrong, without the subject."""
    to_do: str
    """One or two sentences."""


ADVICE: Final[Mapping[ConditionCode, ConditionAdvice]] = {
    "queue": ConditionAdvice(
        "Events cannot be stored",
        "Pages get 503 and try again while they are open. See to the disk of data_dir, or to the limits under [queue].",
    ),
    "queue_filling": ConditionAdvice(
        "The queue is filling",
        "Events come faster than they are delivered. Mend what delivery waits for (see the other conditions), or raise "
        "queue.max_events and queue.max_bytes.",
    ),
    "disk_short": ConditionAdvice(
        "Disk space is running out",
        "Free some space on the disk of data_dir, or enlarge it. Below queue.min_free_bytes pages get 503.",
    ),
    "database": ConditionAdvice(
        "The shared database is away",
        "Events wait in the spool of this machine. See to the database and the network to it.",
    ),
    "housekeeping": ConditionAdvice(
        "A chore of the queue fails",
        "Nothing is lost, and it is tried again. See to data_dir, and to the limit on open files.",
    ),
    "ledger_incomplete": ConditionAdvice(
        "The ledger lacks some events",
        "Rows come faster than the disk takes them. Delivery is not touched by it; a faster disk helps.",
    ),
    "order_id_conflict": ConditionAdvice(
        "Two visitors sent one order with different values",
        "Either the shop gives a number twice, or somebody forges orders. Let the shop's server make the eventID of "
        "each Purchase.",
    ),
    "pixel_paused": ConditionAdvice(
        "A pixel is paused",
        "Meta refuses the token or its permission. Correct it in Events Manager, or put a new access_token into the "
        "configuration and restart. Its events wait; what grows older than 7 days becomes a dead letter.",
    ),
    "delivery_late": ConditionAdvice(
        "Events are delivered late",
        "The oldest has waited for more than 15 minutes. See the pixel's last error on the dashboard, and the load of "
        "this machine.",
    ),
    "pixel_stopped": ConditionAdvice(
        "You paused a pixel",
        "Resume it on the dashboard, under Pixels. Its events wait; what grows older than 7 days becomes a dead "
        "letter.",
    ),
    "graph_errors": ConditionAdvice(
        "Meta's API fails",
        "The proxy tries again by itself, and no event is lost. If Meta's status page shows nothing, see to the "
        "network of this machine.",
    ),
    "suspects_late": ConditionAdvice(
        "The search for bad events takes long",
        "Somebody sends many events that Meta refuses. The dead letters show which.",
    ),
    "pixel_not_configured": ConditionAdvice(
        "Events wait for a pixel that is not configured",
        "Add the pixel again and restart, or leave them: after 7 days they become dead letters.",
    ),
    "dead_letters": ConditionAdvice(
        "Meta refuses events for good",
        "Read Meta's words beside the dead letters, correct the cause on the site, then replay or discard them.",
    ),
    "token_expiring": ConditionAdvice(
        "An access token is about to expire",
        "Make a new one in Events Manager (a system user's never expires), put it into the configuration and restart.",
    ),
    "graph_version": ConditionAdvice(
        "The version of the Graph API is near its end",
        "Set graph.version to a newer one, after a look at its changes.",
    ),
    "clock": ConditionAdvice(
        "The clock of this machine is wrong",
        "Set it, and see that it is kept by NTP. Meta refuses events from the future.",
    ),
    "untrusted_forwarding": ConditionAdvice(
        "Visitors' addresses are not known",
        "Requests come through a proxy that is not trusted. Add its network to server.trusted_proxies.",
    ),
    "proxy_protocol": ConditionAdvice(
        "Connections come without the PROXY protocol",
        "Let the balancer send it, or set server.proxy_protocol = false.",
    ),
    "foreign_origin": ConditionAdvice(
        "Pages are refused",
        "If this host is yours, add it to the domains of its site and restart; if not, somebody uses your tag.",
    ),
    "insecure_origin": ConditionAdvice(
        "Pages that came by plain http are refused",
        "Redirect them to https.",
    ),
    "unknown_host": ConditionAdvice(
        "Requests come under a host name of no site",
        "Add the name to the domains of its site, or let the server in front pass the Host header on.",
    ),
    "connections_full": ConditionAdvice(
        "All connections are in use",
        "Raise limits.connections if these are visitors; those that were silent longest make room.",
    ),
    "address_full": ConditionAdvice(
        "One address has all the connections it may have",
        "If it is a proxy of yours, list it in server.trusted_proxies; else it is a flood, and is held off.",
    ),
    "limited": ConditionAdvice(
        "Requests are refused for their number",
        "Pages try again by themselves. If these are visitors behind one address, raise [limits]; if many addresses "
        "at once, add a machine or workers.",
    ),
    "descriptors": ConditionAdvice(
        "File descriptors are scarce",
        "Raise the limit of the service on open files (LimitNOFILE).",
    ),
    "silence": ConditionAdvice(
        "No more events come",
        "Open the site: is the tag still in its pages, and does its address answer? After a new release of the site, "
        "or of the server in front, that is the usual cause.",
    ),
    "tag_not_seen": ConditionAdvice(
        "No page has sent an event",
        "Put the tag into the pages of the site (capi-proxy snippet prints it), then open one.",
    ),
    "pair_rate_fell": ConditionAdvice(
        "Far more browser copies are blocked than usual",
        "The Pixel itself may have gone from the pages: look for its base code, for consent and for the site's "
        "Content-Security-Policy. The server copies go on.",
    ),
    "id_reused": ConditionAdvice(
        "Visitors share event ids",
        "A page is cached with its event ids. Leave the eventID to the tag, or keep that page out of the cache.",
    ),
    "operator_password": ConditionAdvice(
        "Somebody tries passwords on the operator listener",
        "Let fewer machines reach it, and see that the password is long.",
    ),
    "workers": ConditionAdvice(
        "A front process is missing",
        "It is started again by itself; the log says why it ended.",
    ),
    "alert_not_sent": ConditionAdvice(
        "A receiver of alerts does not take them",
        "See its settings under [alerts], then try: capi-proxy alerts test",
    ),
    "fault": ConditionAdvice(
        "A fault of the proxy itself",
        "Please report the subject, which holds nothing about a visitor.",
    ),
}
