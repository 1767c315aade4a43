"""How property tests run: without a deadline and as slowly as need be (machines differ), and with no database (a
failure is repeated by its printed blob)."""

from hypothesis import HealthCheck, settings

PROPERTY = settings(deadline=None, database=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
