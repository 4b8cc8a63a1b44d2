"""What an error of the database means: who is told, and whether the database still counts as here."""

import asyncpg

from proxy.queue.contract import QueueError


class DatabaseAwayError(QueueError):
    """The database did not answer in time, or its answer must not be relied on; what was asked may have been done."""


class MisfitError(DatabaseAwayError):
    """Schema, rights or secret are not what this program needs: somebody must mend that; nothing was done."""


class TableMissingError(QueueError):
    """A table of the statement does not exist (any more); nothing was done."""


class DataRefusedError(QueueError):
    """The database refuses these values; nothing was done, and other values may be accepted."""


class LockTimeoutError(QueueError):
    """Somebody else held a lock for longer than the statement may wait; nothing was done."""


class ConflictError(QueueError):
    """Others changed the same rows at the same time, or the statement was ended before its commit; nothing was done."""


# https://www.postgresql.org/docs/current/errcodes-appendix.html
_CODES: dict[str, type[QueueError]] = {
    "40001": ConflictError,
    "40P01": ConflictError,
    "57014": ConflictError,  # a person ended the statement before its commit
    "0A000": ConflictError,  # its plan was made before a table was changed: asyncpg has forgotten it by now
    "42710": ConflictError,
    "42P06": ConflictError,  # somebody else created the same schema or table at the same time
    "42P07": ConflictError,
    "42P01": TableMissingError,
    "42703": MisfitError,
    "42501": MisfitError,
    "3F000": MisfitError,
    "55P03": LockTimeoutError,
}
_CLASSES: dict[str, type[QueueError]] = {
    "22": DataRefusedError,
    "23": DataRefusedError,
    "42": QueueError,  # a fault of ours
    "54": DataRefusedError,
}


def to_queue_error(error: Exception) -> QueueError:
    """Return the ``QueueError`` that says what an error of asyncpg means."""
    return _kind_of(error)(error_text(error))


def _kind_of(error: Exception) -> type[QueueError]:
    match error:
        case asyncpg.PostgresError():
            code = error.sqlstate or ""
            return _CODES.get(code) or _CLASSES.get(code[:2], DatabaseAwayError)
        case asyncpg.InterfaceError():
            # "closed": the connection ended while no statement ran. Any other InterfaceError is a fault of ours.
            return DatabaseAwayError if "closed" in str(error) else QueueError
        case asyncpg.InternalClientError() | OSError() | EOFError() | TimeoutError():
            return DatabaseAwayError
        case ValueError() | OverflowError():
            return DataRefusedError
        case _:
            return QueueError


def error_text(error: BaseException) -> str:
    """Return an error as a text for people: the server's message and code, never a value of the statement.

    The server's message about a refused value quotes the value, so for such an error only the code is returned.
    """
    if isinstance(error, QueueError):
        return str(error)
    if isinstance(error, asyncpg.PostgresError):
        code = error.sqlstate or ""
        if not error.args or _CLASSES.get(code[:2]) is DataRefusedError:
            return f"error {code} of the database"
        return f"{error.args[0]} ({code})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def is_lasting(error: BaseException) -> bool:
    """Tell whether an error of connecting stays until somebody mends user, password, database, rights or schema."""
    code = getattr(error, "sqlstate", None) or ""
    return code[:2] == "28" or code in {"3D000", "42501"} or isinstance(error, MisfitError)
