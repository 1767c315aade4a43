"""What can go wrong with Kafka, told in two words."""


class Unavailable(Exception):
    """The cluster didn't acknowledge in time, or can't be reached; the same work may be tried again."""


class TooLarge(Exception):
    """A record is larger than its topic takes; trying again won't make it smaller."""
