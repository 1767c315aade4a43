"""The hub: rules, store, bus, API and runtime."""
