"""A stand-in for the SQL Server that Hesabgar keeps its books in: TDS on a loop-back socket, a bookkeeper behind it.

Everything about Hesabgar's own tables here is made up (``base.sql``): nothing public documents them. The contract in
``connectors/hesabgar/sql`` runs on it unchanged, as on a real SQL Server.

- ``simulator`` what tests and demonstrations start; ``__main__`` the process
- ``company`` the books from a seed; ``base.sql``, ``site.sql``, ``mapping.toml`` its tables, procedures and mapping
- ``given`` the books from someone's own rows; ``keeping`` the file that keeps them from one start to the next
- ``server``, ``tds`` the socket; ``engine``, ``session`` the server and its conversations; ``faults`` what goes wrong
- ``lexer``, ``parser``, ``nodes`` T-SQL's syntax; ``compile``, ``functions``, ``query`` its meaning
- ``storage``, ``changes``, ``definitions``, ``catalog`` tables, and what changes and describes them
"""

from connectors.hesabgar.simulator.faults import Fault, FaultKind
from connectors.hesabgar.simulator.simulator import HesabgarSimulator, mapping_text

__all__ = ["Fault", "FaultKind", "HesabgarSimulator", "mapping_text"]
