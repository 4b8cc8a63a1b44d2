"""Whether the PostgreSQL servers of a queue keep what is acknowledged, and will still be fast in a month."""

from collections.abc import Iterator, Sequence
from operator import attrgetter

from proxy.config.load import Config
from proxy.doctor.database_bounds import KEY, USUAL, DatabaseBounds, finding_about
from proxy.doctor.database_promise import access, durability, ownership
from proxy.doctor.database_upkeep import upkeep
from proxy.doctor.finding import Finding
from proxy.installation import Installation
from proxy.queue.postgres.look import inspect_servers
from proxy.queue.postgres.server_facts import Look, ServerFacts, Unreachable
from proxy.queue.seal import Sealer


async def findings(config: Config) -> list[Finding]:
    """Return what is wrong or doubtful about the servers that the configuration names."""
    try:
        sealer = Installation.existing(config).sealer()
    except OSError:
        sealer = None  # there is a finding about data_dir already
    return list(server_findings(await inspect_servers(config.settings.queue.url.get_secret_value()), sealer=sealer))


def server_findings(
    looks: Sequence[Look], bounds: DatabaseBounds = USUAL, sealer: Sealer | None = None
) -> Iterator[Finding]:
    """Yield what is wrong or doubtful about the servers of a queue.

    Args:
        looks: What was seen of each host of the url.
        bounds: The limits from which on something is a finding.
        sealer: Made of the listed secrets; with None it is not checked whether they fit the queue.
    """
    servers = [each for each in looks if isinstance(each, ServerFacts)]
    for each in looks:
        if isinstance(each, Unreachable):
            yield finding_about(
                each, "database_unseen", f"cannot be looked at ({each.why}); it could not take over either"
            )
    yield from _primaries(servers)
    for server in servers:
        yield from durability(server, alone=len(looks) == 1)
        yield from access(server, bounds)
        if not server.is_standby:
            yield from ownership(server, sealer)
            yield from upkeep(server, bounds)


def _primaries(servers: Sequence[ServerFacts]) -> Iterator[Finding]:
    primaries = sorted((each for each in servers if not each.is_standby), key=attrgetter("timeline"))
    if not primaries:
        text = "no server takes writes, so every event would go to the spool; promote a standby, or name the primary"
        yield Finding("database_without_primary", KEY, text)
    for stale in primaries[:-1]:
        text = (
            f"takes writes besides {primaries[-1].place}: it was a primary before a fail-over, and what other programs"
            " write there will be lost; stop it, and make it a standby again (pg_rewind or a fresh copy)"
        )
        yield finding_about(stale, "database_two_primaries", text)
