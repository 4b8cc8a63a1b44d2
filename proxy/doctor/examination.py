"""One examination: each subject is looked at within a time limit, and what could not be looked at is reported."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from proxy import __version__
from proxy.config.load import Config
from proxy.config.schema import Site
from proxy.doctor import data_dir, disk, graph, machine, network, secrets, sites
from proxy.doctor.catalogue import GROUP_OF, GROUPS
from proxy.doctor.catalogue.row import Seriousness
from proxy.doctor.finding import Finding, is_for_meta
from proxy.doctor.shared_queue import database_findings
from proxy.doctor.web.look import SiteLook
from proxy.doctor.web.network_access import NetworkAccess
from proxy.doctor.web.visitor import Visitor, visiting
from proxy.installation import Installation, now_ms
from proxy.model.probe import ProbeKeys
from proxy.rules.request.sites import belongs, host_of

SECONDS = 60.0
"""The time limit of each subject, and so of a whole examination, as the subjects run at the same time."""
_PARALLEL_SITES = 4
"""How many sites are looked at simultaneously; the others wait."""
_ORDER = {seriousness: rank for rank, seriousness in enumerate(Seriousness)}
_GROUP_ORDER = {group: rank for rank, group in enumerate(GROUPS)}


@dataclass(frozen=True, slots=True)
class ExaminationOptions:
    """What an examination is to look at, and how."""

    ways: NetworkAccess = field(default_factory=NetworkAccess)
    base: str = ""
    """The proxy's address in pages, for the sites its host belongs to; for others their ``public_url`` says it."""
    offline: bool = False
    """Ask nothing of the network but the database."""
    is_own: bool = False
    """This process is the proxy itself."""
    send_test: bool = False
    seconds: float = SECONDS


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found, the worst first."""

    findings: Sequence[Finding]
    at: int
    """When it was finished, in milliseconds."""
    took: int
    """How long it took, in milliseconds."""

    @property
    def counts(self) -> Mapping[Seriousness, int]:
        """How many findings there are of each seriousness."""
        counted = Counter(finding.row.seriousness for finding in self.findings)
        return {seriousness: counted[seriousness] for seriousness in Seriousness}

    @property
    def summary(self) -> str:
        """The counts in words, as the last line of the report shows them."""
        failures, unseen, doubts, notes = self.counts.values()
        parts = [f"{failures} to mend" if failures else "nothing to mend"]
        parts += [f"{unseen} could not be looked at"] if unseen else []
        parts += [f"{doubts} doubtful"] if doubts else []
        parts += [f"{notes} to know"] if notes else []
        return ", ".join(parts)


def local_findings(config: Config, *, is_own: bool = False) -> list[Finding]:
    """Return what is wrong or doubtful about a configuration and this machine; this may block on the disk.

    Args:
        config: The configuration.
        is_own: This process is the proxy itself.
    """
    return [
        *network.findings(config.settings),
        *secrets.findings(config),
        *sites.findings(config),
        *data_dir.findings(config, is_own=is_own),
        *machine.findings(config, is_own=is_own),
        *disk.findings(config),
    ]


async def examine(config: Config, examining: ExaminationOptions) -> Examination:
    """Look at all subjects simultaneously, each within the time limit; nothing is written."""
    begun, found = time.monotonic(), list[Finding]()
    async with visiting(examining.ways) as visitor:
        subjects = _subjects(config, examining, visitor)
        await asyncio.gather(
            *(_collect_findings(examining.seconds, name, subject, found) for name, subject in subjects.items())
        )
    return Examination(sorted_findings(found), now_ms(), round((time.monotonic() - begun) * 1000))


def _subjects(config: Config, examining: ExaminationOptions, visitor: Visitor) -> dict[str, AsyncIterator[Finding]]:
    subjects = {"this machine": _local(config, examining), "the database": _database(config)}
    if examining.offline:
        subjects["the network"] = _as_async_iterator([Finding("network_skipped", "", "--offline was given")])
    else:
        subjects["Graph"] = graph.findings(config.settings)
        subjects |= _public(config, examining, visitor)
    if examining.send_test:
        subjects["test events"] = graph.send_tests(config)
    return subjects


def sorted_findings(found: Iterable[Finding]) -> list[Finding]:
    """Return findings without repetition: the worst first, then by group."""
    different = dict.fromkeys(found)
    return sorted(different, key=lambda each: (_ORDER[each.row.seriousness], _GROUP_ORDER[GROUP_OF[each.code]]))


async def _collect_findings(seconds: float, name: str, subject: AsyncIterator[Finding], found: list[Finding]) -> None:
    """Add the findings about a subject to ``found``; one more if the time runs out or the subject's code fails.

    Args:
        seconds: The time limit.
        name: What the subject is called in that finding.
        subject: Yields the findings.
        found: Where they are added.
    """
    try:
        async with asyncio.timeout(seconds):
            async for finding in subject:
                found.append(finding)  # noqa: PERF401 - what was found before it is cut counts
    except TimeoutError:
        found.append(Finding("examination_cut", "", f"{name}: not finished within {seconds:.0f} s"))
    except Exception as error:  # noqa: BLE001 - the other subjects shall be told, and this one not be called sound
        found.append(Finding("examination_cut", "", f"{name}: {type(error).__name__}"))


async def _local(config: Config, examining: ExaminationOptions) -> AsyncIterator[Finding]:
    for finding in await asyncio.to_thread(local_findings, config, is_own=examining.is_own):
        yield finding


async def _database(config: Config) -> AsyncIterator[Finding]:
    for finding in await database_findings(config):
        yield finding


def _public(config: Config, examining: ExaminationOptions, visitor: Visitor) -> dict[str, AsyncIterator[Finding]]:
    """Return the subjects that look at the public addresses of the sites, by their names.

    If events go to a simulator, a site without a given address is not looked at, since its domains need not be real. A
    further subject says why sites are not looked at.
    """
    sites_of = config.settings.site
    looked_at = [site for site in sites_of if is_for_meta(config.settings) or _base_of(site, examining)]
    skipped = [Finding("public_skipped", "", "events go to a simulator")] if len(looked_at) < len(sites_of) else []
    subjects = {"the public addresses": _as_async_iterator(skipped)}
    try:
        installation = Installation.existing(config)
    except (OSError, UnicodeDecodeError):
        return subjects  # there is a finding about data_dir already
    if not installation.secret:
        unseen = [Finding("probe_unseen", "", "there is no secret yet, and so no path")] if looked_at else []
        return {"the public addresses": _as_async_iterator([*skipped, *unseen])}
    keys, turns = ProbeKeys(installation.secret), asyncio.Semaphore(_PARALLEL_SITES)
    for site in looked_at:
        prefix, *old_prefixes = installation.prefixes(site)
        look = SiteLook(visitor, config.settings, site, prefix, keys, _base_of(site, examining), old_prefixes)
        subjects[f"the public addresses of {site.name}"] = _findings_in_turn(look, turns)
    return subjects


async def _as_async_iterator(found: Iterable[Finding]) -> AsyncIterator[Finding]:
    for finding in found:
        yield finding


async def _findings_in_turn(look: SiteLook, turns: asyncio.Semaphore) -> AsyncIterator[Finding]:
    async with turns:
        async for finding in look.findings():
            yield finding


def _base_of(site: Site, examining: ExaminationOptions) -> str:
    """Return the proxy's address in pages of a site, by the command or the configuration; empty if neither has it."""
    return examining.base if examining.base and belongs(site, host_of(examining.base)) else site.public_url


def report_json(report: Examination) -> dict[str, Any]:
    """Return a report as JSON, as the operator listener and the command give it."""
    return {
        "at": report.at,
        "took": report.took,
        "version": __version__,
        "counts": {str(seriousness): count for seriousness, count in report.counts.items()},
        "summary": report.summary,
        "findings": [finding_json(finding) for finding in report.findings],
    }


def finding_json(finding: Finding) -> dict[str, str]:
    """Return a finding with what the catalogue says of it."""
    return {
        "code": finding.code,
        "group": GROUP_OF[finding.code],
        "seriousness": finding.row.seriousness,
        "subject": finding.subject,
        "seen": finding.seen,
        "why": finding.row.why,
        "mend": finding.row.mend,
        "paste": finding.paste,
    }
