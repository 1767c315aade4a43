"""What can go wrong with Kafka, told in one word."""


class Unavailable(Exception):
    """The cluster didn't acknowledge in time, or can't be reached; the same work may be tried again."""
