"""Stock, accounts, and the key that asks."""

from aiohttp import web

from hub.api import parameters
from hub.api.answers import AccountAnswer, ListPage, Me, StockItem, StockPage
from hub.api.parameters import Unreadable, cursor_text
from hub.api.preview import credit_sum
from hub.api.problems import of_reasons
from hub.api.routing import Call, json_reply
from hub.rules.deciding import quantity_text
from hub.store import lookup, reading
from hub.store.reading import StockFilter, StockRow
from schemas.ledger import Needs
from schemas.reasons import reason

Cursor = tuple[str, str, str]


async def stock(call: Call) -> web.Response:
    """GET /v1/stock"""
    limit: int = call.query["limit"]
    wanted = StockFilter(call.query["product"], call.query["warehouse"], call.query["cursor"])
    rows = await call.hub.stored(reading.stock(call.hub.store, wanted, limit + 1))
    page = rows[:limit]
    after = cursor_text((page[-1].product, page[-1].warehouse, page[-1].attribute)) if len(rows) > limit else None
    return json_reply(StockPage(tuple(map(_item, page)), after))


def _item(row: StockRow) -> StockItem:
    return StockItem(
        product=row.product,
        product_name=row.product_name,
        warehouse=row.warehouse,
        attribute=row.attribute,
        attribute_name=row.attribute_name,
        on_hand=quantity_text(row.on_hand),
        reserved=quantity_text(row.reserved),
        sellable=quantity_text(row.sellable),
        in_books=quantity_text(row.in_books),
        incoming=quantity_text(row.incoming),
        as_of=row.as_of,
    )


async def entries(call: Call) -> web.Response:
    """GET /v1/lists"""
    limit: int = call.query["limit"]
    found = await call.hub.stored(reading.entries(call.hub.store, call.query["list"], call.query["cursor"], limit + 1))
    page = found[:limit]
    after = cursor_text((page[-1].list, page[-1].code, page[-1].product)) if len(found) > limit else None
    return json_reply(ListPage(tuple(page), after))


async def account(call: Call) -> web.Response:
    """GET /v1/accounts/{code}"""
    hub = call.hub
    written = call.request.match_info["code"]
    try:
        code = parameters.code(written)
    except Unreadable:
        code = ""
    found = (await hub.stored(lookup.accounts(hub.store, [code]))).get(code)
    snapshot = await hub.stored(reading.snapshot(hub.store, Needs(accounts={code}))) if found else None
    if found is None or snapshot is None or code not in snapshot.accounts:
        raise of_reasons([reason("unknown_account", at="code", code=parameters.shown(written))], "not-found")
    return json_reply(
        AccountAnswer(
            code=found.code,
            name=found.name,
            active=found.active,
            vat_exempt=found.vat_exempt,
            phones=found.phones,
            city=found.city,
            cost_centre=found.cost_centre,
            group=found.group,
            credit=credit_sum(snapshot.accounts[code]),
            emails=found.emails,
            ledger=found.ledger,
            detail_group=found.detail_group,
        )
    )


async def me(call: Call) -> web.Response:
    """GET /v1/me"""
    caller = call.caller
    return json_reply(Me(caller.name, caller.source, tuple(sorted(caller.scopes)), caller.per_minute))
