"""The servers of a queue that several proxies share, where there is one and its driver is installed."""

from proxy.config.load import Config
from proxy.doctor.finding import Finding


async def database_findings(config: Config) -> list[Finding]:
    """Return what is wrong or doubtful about the servers of a queue that several proxies share."""
    if config.settings.queue.engine != "postgres":
        return []
    try:
        from proxy.doctor import database  # noqa: PLC0415 - its driver is installed where the engine is wanted
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        seen = "the driver for PostgreSQL is missing"
        return [Finding("database_driver_missing", "queue.engine", seen, "pip install 'capi-proxy[postgres]'")]
    return await database.findings(config)
