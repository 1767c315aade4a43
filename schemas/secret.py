"""A value that must never be shown: passwords, tokens, connection strings."""


class Secret:
    """Text that prints as ``***`` everywhere; :meth:`reveal` gives it to whoever logs in with it.

    It is no msgspec type on purpose: encoding a struct that holds one fails instead of writing it down.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __format__(self, specification: str) -> str:
        return format("***", specification)

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret isn't pickled or copied to disk")
