"""Rules that a connector can't keep yet: connector (or `connector:variant`) → rule → why, in a sentence.

They are printed after every run. One whose rule holds by now, or of a rule or connector that there isn't, fails.
"""

from collections.abc import Mapping

WAIVERS: Mapping[str, Mapping[str, str]] = {}
