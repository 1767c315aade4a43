"""The soak stands on what the connectors' tests stand on."""

from tests.connectors.conftest import around

__all__ = ["around"]
