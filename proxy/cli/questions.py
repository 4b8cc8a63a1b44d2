"""One question of a command to the operator client, from the configuration file to the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from proxy.cli.operator_client import OperatorClient, OperatorClientError, open_operator_client
from proxy.cli.options import TOKENS, load_or_exit
from proxy.cli.output import fail
from proxy.queue.contract import QueueError

T = TypeVar("T")


def ask(path: Path, question: Callable[[OperatorClient], Awaitable[T]]) -> T:
    """Return the answer to a question, or end with exit code 1 (2 for a wrong configuration) and the reason."""
    config = load_or_exit(path, TOKENS)

    async def work() -> T:
        async with open_operator_client(config) as client:
            return await question(client)

    try:
        return asyncio.run(work())
    except (OperatorClientError, QueueError, OSError) as error:
        fail(str(error))
