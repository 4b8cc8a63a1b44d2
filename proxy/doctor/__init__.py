"""What ``check`` looks at once the configuration itself is sound: where it is to run. Nothing is written anywhere."""

from collections.abc import Iterator

from proxy.config.load import Config
from proxy.doctor import data_dir, network, secrets, sites
from proxy.doctor.finding import Finding
from proxy.doctor.graph import send_tests
from proxy.installation import UnsafeInstallationError, require_c_parser

__all__ = ["Finding", "database_findings", "findings", "send_tests"]


def findings(config: Config) -> Iterator[Finding]:
    """Yield what is wrong or doubtful about running this configuration here."""
    try:
        require_c_parser()
    except UnsafeInstallationError as error:
        yield Finding("aiohttp", str(error), failing=True)
    yield from data_dir.findings(config)
    yield from secrets.findings(config)
    yield from network.findings(config.settings)
    yield from sites.findings(config)


async def database_findings(config: Config) -> list[Finding]:
    """Return what is wrong or doubtful about the servers of a queue that several proxies share."""
    if config.settings.queue.engine != "postgres":
        return []
    try:
        from proxy.doctor import database  # noqa: PLC0415 - its driver is installed where the engine is wanted
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        text = "the driver for PostgreSQL is missing: pip install 'capi-proxy[postgres]'"
        return [Finding("queue.engine", text, failing=True)]
    return await database.findings(config)
