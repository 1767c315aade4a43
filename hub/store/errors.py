"""What can go wrong with PostgreSQL, told in three words.

StoreError
├── Unavailable     it will pass: connection lost, server starting or stopping, deadlock; do it again
└── Unacceptable    it won't: the data itself was refused
    └── Unready     it won't, and not because of the data: login refused, schema missing, no rights, read-only
"""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg


class StoreError(Exception):
    """PostgreSQL didn't do what was asked."""


class Unavailable(StoreError):
    """A fault that passes; the same work may be tried again."""


class Unacceptable(StoreError):
    """A fault that trying again won't mend."""


class Unready(Unacceptable):
    """The database isn't as the hub needs it; whatever is asked fails until somebody has mended that."""


_OF_THE_DATA = ("21", "22", "23", "54")
"""Classes of SQLSTATE: cardinality, data exception, integrity constraint, program limit exceeded."""


_PASSING = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.UniqueViolationError,  # another worker decided the same command: the second look finds it
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise asyncpg's errors as ours."""
    try:
        yield
    except asyncpg.InvalidPasswordError as error:
        raise Unready(f"PostgreSQL refused the login: {error}") from error
    except _PASSING as error:
        raise Unavailable(f"{type(error).__name__}: {error}") from error
    except asyncpg.PostgresError as error:
        kind = Unacceptable if (error.sqlstate or "")[:2] in _OF_THE_DATA else Unready
        raise kind(f"{type(error).__name__}: {error}") from error
