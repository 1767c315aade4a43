"""What SQL Server says when it refuses: number, class (severity), state and words."""

from typing import Final

BATCH_ABORTING: Final = frozenset({102, 137, 207, 208, 241, 242, 245, 293, 295, 1204, 1205, 8114, 8169})
"""Numbers that end the batch they happen in, not only the statement."""

ROLLS_BACK: Final = frozenset({241, 242, 245, 1205, 8114, 8169})
"""Numbers that also undo the transaction."""


class SqlError(Exception):
    """An error as the client gets it; ``line`` counts from 1 within the batch or procedure."""

    def __init__(self, number: int, message: str, *, severity: int = 16, state: int = 1) -> None:
        super().__init__(message)
        self.number = number
        self.message = message
        self.severity = severity
        self.state = state
        self.line = 0
        self.procedure = ""
        self.thrown = False
        """By THROW, which ends the batch; RAISERROR doesn't."""
        self.raised = False
        """By RAISERROR, which XACT_ABORT leaves alone."""
        self.reported = False
        """Whether the client has been told."""


def syntax(near: str) -> SqlError:
    """Incorrect syntax near something."""
    return SqlError(102, f"Incorrect syntax near '{near}'.", severity=15)


def invalid_object(name: str) -> SqlError:
    """A table or view that doesn't exist."""
    return SqlError(208, f"Invalid object name '{name}'.")


def invalid_column(name: str) -> SqlError:
    """A column that doesn't exist."""
    return SqlError(207, f"Invalid column name '{name}'.")


def undeclared(name: str) -> SqlError:
    """A variable nobody declared."""
    return SqlError(137, f'Must declare the scalar variable "{name}".', severity=15, state=2)


def denied(permission: str, name: str, database: str, schema: str) -> SqlError:
    """A permission the login hasn't got."""
    return SqlError(
        229,
        f"The {permission} permission was denied on the object '{name}', database '{database}', schema '{schema}'.",
        severity=14,
        state=5,
    )
