"""Handhelds as clients of the exchange, over real HTTP: they enrol, pull, go offline for days, sell meanwhile, and push
in any order, twice, over connections that break. Each keeps a ledger of what it was told."""

from connectors.pocket_cyber.simulator.fleet import Fleet
from connectors.pocket_cyber.simulator.handheld import Away, Entry, Handheld, Refused

__all__ = ["Away", "Entry", "Fleet", "Handheld", "Refused"]
