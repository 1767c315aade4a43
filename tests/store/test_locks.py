"""Row locks are taken in one module and in one order."""

import re
from pathlib import Path

import hub
import streams
from hub.store import locks

ROOTS = [Path(package.__file__ or "").parent for package in (hub, streams)]
LOCKING = re.compile(r"for\s+(no\s+key\s+)?(update|share)\b|\block\s+table\b", re.IGNORECASE)


def test_nobody_else_says_for_update() -> None:
    found = {
        path.relative_to(root.parent).as_posix()
        for root in ROOTS
        for pattern in ("*.py", "*.sql")
        for path in root.rglob(pattern)
        if LOCKING.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"hub/store/locks.py"}


def test_every_lock_is_taken_in_the_order_of_its_key() -> None:
    queries = {name: text for name, text in vars(locks).items() if isinstance(text, str) and "select" in text}
    assert len(queries) >= 4
    for name, text in queries.items():
        ordered = re.search(r"order by (.+?)\s*({lock}|for update)", text)
        assert ordered, f"{name} locks in no order"


def test_accounts_are_locked_in_the_order_their_master_data_is_written_in() -> None:
    """hub.store.master writes accounts sorted by Python; a database's own locale may order them otherwise."""
    for query in (locks._ACCOUNTS, locks._FINANCE):
        assert 'order by code collate "C"' in query
