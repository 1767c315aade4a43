"""The hub of the API tests, deciding, for this connector's life."""

from tests.api.conftest import api, cluster, hub, idle_hub, opened_store, shop

__all__ = ["api", "cluster", "hub", "idle_hub", "opened_store", "shop"]
