"""One question of a command to the operator client, from the configuration file to the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from proxy.cli.client_error import OperatorClientError
from proxy.cli.operator_client import OperatorClient, open_operator_client, open_reading_client
from proxy.cli.options import TOKENS, load_or_exit
from proxy.cli.output import fail
from proxy.queue.contract import QueueError

T = TypeVar("T")


def ask(path: Path, question: Callable[[OperatorClient], Awaitable[T]], *, reads: bool = False) -> T:
    """Return the answer to a question, or end with exit code 1 (2 for a wrong configuration) and the reason.

    Args:
        path: The configuration file.
        question: Called with the operator client; its result is the answer.
        reads: Whether it changes nothing, so that it needs no secret.
    """
    config = load_or_exit(path, TOKENS, may_lack_secrets=reads)
    opened = open_reading_client if reads else open_operator_client

    async def work() -> T:
        async with opened(config) as client:
            return await question(client)

    try:
        return asyncio.run(work())
    except (OperatorClientError, QueueError, OSError) as error:
        fail(str(error))
