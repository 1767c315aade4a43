"""The Pocket Cyber connector's configuration."""

import datetime as dt
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from connectors.base import ConnectorSpec
from schemas.commands import Amend, Submit
from schemas.documents import Kind
from schemas.text import is_code
from schemas.visits import Visit

MAX_HOLDER = 27
"""Characters of a holder's code: with a slash and a handheld's own id of 36 it makes a source id of 64."""

Code = Annotated[str, Meta(min_length=1, max_length=64)]
Percent = Annotated[Decimal, Meta(extra={"ge": Decimal(0), "le": Decimal(100)})]


class Edition(StrEnum):
    """Whose handhelds these are."""

    VISITORS = "visitors"
    CUSTOMERS = "customers"


class PriceChanged(StrEnum):
    """What becomes of a line whose price isn't the catalogue's any more."""

    ACCEPT = "accept"
    HOLD = "hold"
    REPRICE = "reprice"


KINDS: dict[Edition, tuple[Kind, ...]] = {
    Edition.VISITORS: (Kind.SALES_ORDER, Kind.SALES_INVOICE, Kind.SALES_RETURN, Kind.RECEIPT),
    Edition.CUSTOMERS: (Kind.SALES_ORDER,),
}
"""The kinds of document an edition may send at all."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one holder of a handheld may see and do."""

    groups: Annotated[
        tuple[Code, ...], Meta(description="Product groups; empty: every product.", examples=[("beverages",)])
    ] = ()
    discount_percent: Annotated[
        Percent, Meta(description="The highest discount on a line, in percent of it.", examples=[Decimal(5)])
    ] = Decimal(0)
    accounts: Annotated[
        tuple[Code, ...], Meta(description="Customers of the route, by account code.", examples=[("1001",)])
    ] = ()
    account_groups: Annotated[
        tuple[Code, ...], Meta(description="And every customer of these account groups.", examples=[("shops",)])
    ] = ()
    cities: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        Meta(description="And every customer in these cities. All three empty: every customer.", examples=[("کرج",)]),
    ] = ()
    warehouses: Annotated[
        tuple[Code, ...],
        Meta(
            description="Where goods may be sold from; the first is taken where a document names none. Empty: any.",
            examples=[("van-12",)],
        ),
    ] = ()
    kinds: Annotated[
        tuple[Kind, ...],
        Meta(description="Kinds of document; empty: all the edition has.", examples=[("sales_order", "sales_invoice")]),
    ] = ()
    credit: Annotated[bool, Meta(description="Whether sales on credit are taken.", examples=[True])] = True


class Spec(ConnectorSpec, frozen=True, kw_only=True):
    """Pocket Cyber: visitors' handhelds, and Pocket Cyber CE: special customers' own orders."""

    libraries: ClassVar[frozenset[str]] = frozenset({"connectors.files"})

    emits: ClassVar[frozenset[type[msgspec.Struct]]] = frozenset({Submit, Amend, Visit})

    edition: Annotated[
        Edition,
        Meta(
            description="`visitors`: invoices, orders, returns, receipts and visits of visitors. `customers` (CE): a "
            "special customer's own orders.",
            examples=["visitors"],
        ),
    ] = Edition.VISITORS
    source: Annotated[
        Code | None,
        Meta(
            description="The source the documents come under; policies go by it. Without it, the instance's name.",
            examples=["visitors-karaj"],
        ),
    ] = None
    holders: Annotated[
        dict[str, Limits],
        Meta(
            description="Who may hold a handheld, each with limits in a table of its own: visitors by a code of at "
            "most 27 characters without a slash; in CE, customers by account code.",
        ),
    ] = msgspec.field(default_factory=dict)
    limits: Annotated[
        Limits | None,
        Meta(description="The limits of whoever isn't in `holders`; without them only those listed get a code."),
    ] = None
    price_changed: Annotated[
        PriceChanged,
        Meta(
            description="A line's price isn't the catalogue's any more: `accept` it as sent, `hold` the document for "
            "a person, or `reprice` the line.",
            examples=["hold"],
        ),
    ] = PriceChanged.HOLD
    clock_skew: Annotated[
        dt.timedelta,
        Meta(description="How far a handheld's clock may be ahead; later is refused as future.", examples=["10m"]),
    ] = dt.timedelta(minutes=10)
    oldest: Annotated[
        dt.timedelta,
        Meta(
            description="Older documents and visits are refused: the handheld's clock stands wrong.", examples=["60d"]
        ),
    ] = dt.timedelta(days=60)
    code_lifetime: Annotated[
        dt.timedelta, Meta(description="How long an enrolment code can be used.", examples=["15m"])
    ] = dt.timedelta(minutes=15)
    wrong_codes: Annotated[
        int,
        Meta(
            description="Tries at enrolment from one address within `code_lifetime`; then none is heard until it is "
            "over.",
            ge=1,
            examples=[10],
        ),
    ] = 10
    token_lifetime: Annotated[
        dt.timedelta,
        Meta(description="How long a device's token is good; then it is enrolled anew.", examples=["180d"]),
    ] = dt.timedelta(days=180)
    outcomes_kept: Annotated[
        dt.timedelta,
        Meta(description="How long a handheld that is away can catch up change by change.", examples=["90d"]),
    ] = dt.timedelta(days=90)
    folder: Annotated[
        Path | None,
        Meta(
            description="For the exchange by files: a folder that holds one folder per holder, named by the holder's "
            "code. Without it, there is none.",
            examples=["pocket-cyber"],
        ),
    ] = None
    poll: Annotated[dt.timedelta, Meta(description="The time between two looks into the folders.", examples=["2s"])] = (
        dt.timedelta(seconds=2)
    )

    def __post_init__(self) -> None:
        for holder, limits in self.holders.items():
            if not is_holder(holder):
                raise ValueError(
                    f"the holder {holder!r} must have 1 to {MAX_HOLDER} characters, none of them a slash or a blank"
                )
            self._check(limits, f"holders.{holder}")
        if self.limits is not None:
            self._check(self.limits, "limits")

    def _check(self, limits: Limits, where: str) -> None:
        if unknown := [kind for kind in limits.kinds if kind not in KINDS[self.edition]]:
            known = ", ".join(KINDS[self.edition])
            raise ValueError(f"{where}: the edition {self.edition} has no {unknown[0]}; it has {known}")
        if self.edition is Edition.CUSTOMERS and (limits.accounts or limits.account_groups or limits.cities):
            raise ValueError(f"{where}: a customer of the edition customers orders for itself, so it has no route")


def is_holder(code: str) -> bool:
    """Whether a text can be a holder's code."""
    return is_code(code, MAX_HOLDER) and "/" not in code and " " not in code
