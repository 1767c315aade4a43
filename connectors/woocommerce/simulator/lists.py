"""Lists as the API gives them: filtered, ordered, in pages."""

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, NamedTuple

from connectors.woocommerce.simulator.answers import invalid_parameter
from connectors.woocommerce.simulator.keeping import Doc
from connectors.woocommerce.simulator.shop import TRASH

MOST_PER_PAGE: Final = 100
_TIME: Final = "%Y-%m-%dT%H:%M:%S"
_ORDER_BY: Final[Mapping[str, Callable[[Doc], tuple[object, ...]]]] = {
    "date": lambda doc: (doc["date_created_gmt"], doc["id"]),
    "modified": lambda doc: (doc["date_modified_gmt"], doc["id"]),
    "id": lambda doc: (doc["id"],),
    "title": lambda doc: (doc.get("name", ""), doc["id"]),
}


class Listed(NamedTuple):
    """One page, and the headers that tell of the others."""

    docs: list[Doc]
    total: int
    pages: int

    @property
    def headers(self) -> dict[str, str]:
        """As WordPress writes them."""
        return {"X-WP-Total": str(self.total), "X-WP-TotalPages": str(self.pages)}


def listed(docs: list[Doc], query: Mapping[str, str], utc_offset: timedelta) -> Listed:
    """The page that was asked for. Raises Problem for parameters that aren't as they must be."""
    page, per_page = _whole(query, "page", 1, None), _whole(query, "per_page", 10, MOST_PER_PAGE)
    offset = _whole(query, "offset", (page - 1) * per_page, None, least=0)
    found = [doc for doc in docs if _wanted(doc, query, utc_offset)]
    descending = _choice(query, "order", "desc", ("asc", "desc")) == "desc"
    found.sort(key=_ORDER_BY[_choice(query, "orderby", "date", tuple(_ORDER_BY))], reverse=descending)
    return Listed(found[offset : offset + per_page], len(found), math.ceil(len(found) / per_page))


def of_status(docs: Iterable[Doc], query: Mapping[str, str], known: tuple[str, ...]) -> list[Doc]:
    """Those of a status that is asked for: "any" is all but the trash, whatever else stands beside it. Raises Problem
    for a status nobody knows."""
    asked = values(query, "status") or ["any"]
    for status in asked:
        if status not in ("any", "all", TRASH, *known):
            raise invalid_parameter("status", f"status[0] is not one of any, trash, {', '.join(known)}.")
    if {"any", "all"} & set(asked):
        return [doc for doc in docs if doc["status"] != TRASH]
    return [doc for doc in docs if doc["status"] in asked]


def values(query: Mapping[str, str], name: str) -> list[str]:
    """A parameter that is a list, separated by commas."""
    return [each.strip() for each in query.get(name, "").split(",") if each.strip()]


def _wanted(doc: Doc, query: Mapping[str, str], utc_offset: timedelta) -> bool:
    gmt = query.get("dates_are_gmt", "false") in ("true", "1")
    for name, field, later in (
        ("modified_after", "date_modified_gmt", True),
        ("modified_before", "date_modified_gmt", False),
        ("after", "date_created_gmt", True),
        ("before", "date_created_gmt", False),
    ):
        if name in query:
            limit = _limit(query[name], name, timedelta() if gmt else utc_offset)
            if not (doc[field] > limit if later else doc[field] < limit):
                return False
    number = str(doc["id"])
    if include := values(query, "include"):
        return number in include
    return number not in values(query, "exclude")


def _limit(text: str, name: str, utc_offset: timedelta) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid_parameter(name, "Invalid date.") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone(utc_offset))
    return moment.astimezone(UTC).strftime(_TIME)


def _whole(query: Mapping[str, str], name: str, default: int, most: int | None, least: int = 1) -> int:
    text = query.get(name, str(default))
    if not text.lstrip("-").isdecimal():
        raise invalid_parameter(name, f"{name} is not of type integer.")
    if int(text) < least or (most is not None and int(text) > most):
        bounds = f"between {least} (inclusive) and {most} (inclusive)" if most else f"greater than or equal to {least}"
        raise invalid_parameter(name, f"{name} must be {bounds}")
    return int(text)


def _choice(query: Mapping[str, str], name: str, default: str, known: tuple[str, ...]) -> str:
    chosen = query.get(name, default)
    if chosen not in known:
        raise invalid_parameter(name, f"{name} is not one of {', '.join(known)}.")
    return chosen
