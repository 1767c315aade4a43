"""How property tests run: without a deadline and as slowly as need be (machines differ), and with no database (a
failure is repeated by its printed blob).

It is the default (``conftest.py``), also of tests that don't name it: Hypothesis's own has a deadline of 200 ms.
"""

from hypothesis import HealthCheck, settings

PROPERTY = settings(deadline=None, database=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
