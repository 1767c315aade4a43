"""Outbound webhooks: outside systems are told of every change of their documents."""
