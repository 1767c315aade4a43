"""Credit (MODULES.md D5, golden figure 2), in rials.

Basis: instant = direct + documentary − balance − uncleared cheques − our own holds; returned cheques are shown and not
counted. Example: 540,000,000,000 + 350,000,000,000 − 87,634,996,000 − 45,000,000,000 = 757,365,004,000.
"""

from schemas.ledger import AccountLedger, CreditHold, Snapshot


def instant_credit(account: AccountLedger) -> int:
    """What the account can still buy on credit, now."""
    return account.direct + account.documentary - account.balance - account.uncleared_cheques - account.held


def apply(hold: CreditHold | None, snapshot: Snapshot) -> None:
    """Count a hold in its account."""
    if hold is not None:
        _count(hold.account, hold.amount, snapshot)


def withdraw(hold: CreditHold | None, snapshot: Snapshot) -> None:
    """Take a hold back out of its account."""
    if hold is not None:
        _count(hold.account, -hold.amount, snapshot)


def _count(code: str, amount: int, snapshot: Snapshot) -> None:
    account = snapshot.accounts[code]
    account.held += amount
    account.changed = True
