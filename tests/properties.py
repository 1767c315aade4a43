"""How property tests run: no deadline (machines differ), no database (a failure is repeated by its printed blob)."""

from hypothesis import settings

PROPERTY = settings(deadline=None, database=None, print_blob=True)
