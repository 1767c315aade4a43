"""What can go wrong with the embedded servers, as sentences for the person who typed the command."""


class EmbeddedError(RuntimeError):
    """An embedded server can't be had, started or reached; the message says what is wrong, where, and what to do."""
