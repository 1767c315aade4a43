"""A stand-in for the SQL Server that Hesabgar keeps its books in: TDS on a loop-back socket, and a bookkeeper behind it.

Everything about Hesabgar's own tables here is made up (``base.sql``): nothing public documents them.
"""

from connectors.hesabgar.simulator.faults import Fault, FaultKind

__all__ = ["Fault", "FaultKind"]
