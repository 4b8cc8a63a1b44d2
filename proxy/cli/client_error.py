"""Why a command cannot reach the operator's data."""


class OperatorClientError(Exception):
    """The operator's data cannot be reached; the text says why."""


class ProxyAwayError(OperatorClientError):
    """The running proxy does not answer at this moment; it may be about to start again."""
