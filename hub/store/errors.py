"""What can go wrong with PostgreSQL, told in two words.

StoreError
├── Unavailable   it will pass: connection lost, server starting or stopping, deadlock; do it again
└── Unacceptable  it won't: the data itself was refused
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
        raise Unacceptable(f"PostgreSQL refused the login: {error}") from error
    except _PASSING as error:
        raise Unavailable(f"{type(error).__name__}: {error}") from error
    except asyncpg.PostgresError as error:
        raise Unacceptable(f"{type(error).__name__}: {error}") from error
