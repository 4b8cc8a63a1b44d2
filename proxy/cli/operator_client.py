"""How commands reach events, dead letters and persons: through the running proxy, or in data_dir when none runs."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import aiohttp
from aiohttp import hdrs

from proxy.cli.client_error import OperatorClientError
from proxy.cli.known_password import PasswordUnknownError, known_password
from proxy.cli.local_client import LocalClient
from proxy.cli.remote_client import RemoteClient
from proxy.config.load import Config
from proxy.installation import Installation, lock_installation
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import Erased, Filter
from proxy.queue.sqlite.data_dir import DataDirBusyError
from proxy.queue.sqlite.inspect import locked_for_reading

_ANSWER_S = 60


class OperatorClient(Protocol):
    """What commands can ask and do."""

    async def events(self, wanted: Filter) -> list[dict[str, Any]]:
        """Return finished events, newest first."""

    async def overview(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """Return the figures that ``/api/overview`` answers to these parameters."""

    async def waiting(self, wanted: Filter) -> list[dict[str, Any]]:
        """Return events that wait, those that arrived last first."""

    async def dead(self, wanted: Filter) -> list[dict[str, Any]]:
        """Return dead letters, newest first."""

    async def replay(self, ids: Sequence[int]) -> int:
        """Put dead letters back into the queue; return how many were young enough."""

    async def discard(self, ids: Sequence[int]) -> int:
        """Remove dead letters; return how many."""

    async def erase(self, person: Mapping[str, Sequence[str]]) -> Erased:
        """Remove what waits about a person, and refuse older events that come later.

        Args:
            person: Identifiers of the person, in the form that ``person_digests_of`` takes.
        """

    async def suppressions(
        self, kind: SuppressionKind | None, limit: int, after: bytes | None = None
    ) -> list[dict[str, Any]]:
        """Return suppressions of a kind, or of any, newest first.

        Args:
            kind: Only suppressions of this kind; None for all kinds.
            limit: How many at the most.
            after: Only those with larger digests than this one, in the order of digests; see ``Archive``.
        """

    async def lift(self, person: Mapping[str, Sequence[str]], kind: SuppressionKind | None) -> int:
        """End a person's suppressions of one kind, or with None of every kind; return how many were ended."""


@asynccontextmanager
async def open_operator_client(config: Config) -> AsyncIterator[OperatorClient]:
    """Reach the data of an installation: through the running proxy, or in ``data_dir`` when none runs.

    Raises:
        OperatorClientError: when there is no data, or the running proxy does not answer.
        QueueBrokenError: when the queue in ``data_dir`` cannot be opened.
        OSError: when ``data_dir`` cannot be read.
    """
    if not config.data_dir.is_dir():
        raise OperatorClientError(_no_data_message(config))
    async with AsyncExitStack() as stack:
        try:
            installation = stack.enter_context(lock_installation(config))
        except DataDirBusyError:
            yield await stack.enter_async_context(running_proxy(config))
            return
        client = LocalClient(installation)
        stack.push_async_callback(client.close)
        yield client


@asynccontextmanager
async def open_reading_client(config: Config) -> AsyncIterator[OperatorClient]:
    """Reach the data of an installation to read it, also where secrets are missing; nothing is written then.

    Raises:
        OperatorClientError: when there is no data, or the running proxy does not answer.
        QueueError: when what is in ``data_dir`` cannot be read.
    """
    async with AsyncExitStack() as stack:
        try:
            client = await _open_reader(stack, config)
        except DataDirBusyError:
            client = await stack.enter_async_context(running_proxy(config))
        except OSError as error:
            # The proxy may run as another user or in a container: we cannot read its data_dir, but its API may answer.
            why = (
                _no_data_message(config)
                if isinstance(error, FileNotFoundError)
                else f"{config.data_dir}: {error.strerror}"
            )
            client = await stack.enter_async_context(running_proxy(config, f"{why}; and no proxy answers at "))
        yield client


async def _open_reader(stack: AsyncExitStack, config: Config) -> OperatorClient:
    installation = Installation.existing(config)
    if installation.secret and config.data_dir.is_dir() and not config.missing:
        return await stack.enter_async_context(open_operator_client(config))
    stack.enter_context(locked_for_reading(config.data_dir))
    client = LocalClient(installation, only_reads=True)
    stack.push_async_callback(client.close)
    return client


@asynccontextmanager
async def running_proxy(
    config: Config, away: str = "the running proxy does not answer on its operator port, "
) -> AsyncIterator[RemoteClient]:
    """Open a client of the running proxy.

    Args:
        config: Has the address and the password.
        away: The error text when the proxy does not answer; the address is appended.

    Raises:
        OperatorClientError: when the password is not known here.
    """
    server = config.settings.server
    if reference := config.missing.get("operator_password"):
        why = f"operator_password is {reference}, which is not set here"
        raise OperatorClientError(f"the running proxy wants its password, and {why}")
    try:
        password = known_password(server.operator_password.get_secret_value())
    except PasswordUnknownError as error:
        raise OperatorClientError(str(error)) from None
    base = f"http://{server.operator_listen.local_address.authority}"
    headers = {hdrs.AUTHORIZATION: aiohttp.encode_basic_auth("operator", password)} if password else {}
    async with aiohttp.ClientSession(base, headers=headers, timeout=aiohttp.ClientTimeout(total=_ANSWER_S)) as session:
        yield RemoteClient(session, f"{away}{server.operator_listen.local_address.authority}")


def _no_data_message(config: Config) -> str:
    return f"{config.data_dir}: no such directory; has the proxy ever run with this configuration?"
