"""The simulator's own endpoints, ``/sim/…``, for whoever plays the shop from another process."""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from connectors.woocommerce.simulator.faults import Fault, FaultKind
from connectors.woocommerce.simulator.shop import Basket

if TYPE_CHECKING:
    from connectors.woocommerce.simulator.simulator import WooCommerceSimulator


def routes(simulator: "WooCommerceSimulator") -> list[web.RouteDef]:
    """What can be asked for:

    - ``POST /sim/orders {"count": 5}``, random ones, or ``{"lines": [["SKU", 2]], "status": "processing"}``
    - ``POST /sim/orders/N/status {"status": "cancelled"}``; ``…/trash``, ``…/restore``, ``…/refund`` (all of it)
    - ``POST /sim/deliver``: send the webhooks that wait
    - ``POST /sim/faults {"kind": "status", "status": 429, …}`` (:class:`Fault`); ``DELETE /sim/faults`` ends all
    - ``POST /sim/away {"seconds": 5}``: answer nothing for so long, then come back on the same port
    - ``GET /sim/ledger``: what came and went
    """
    shop = simulator.shop

    async def orders(given: dict[str, Any], _: int) -> object:
        if "lines" in given:
            lines = [(str(sku), int(quantity)) for sku, quantity in given["lines"]]
            return {"orders": [shop.place(Basket(lines, status=given.get("status", "processing")))]}
        return {"orders": [shop.place_random() for _ in range(int(given.get("count", 1)))]}

    async def status(given: dict[str, Any], number: int) -> object:
        shop.set_status(number, str(given["status"]))
        return {"order": number}

    async def trash(_: dict[str, Any], number: int) -> object:
        shop.trash(number)
        return {"order": number}

    async def restore(_: dict[str, Any], number: int) -> object:
        shop.restore(number)
        return {"order": number}

    async def refund(_: dict[str, Any], number: int) -> object:
        return {"refund": shop.refund(number)}

    async def deliver(_: dict[str, Any], __: int) -> object:
        return {"sent": await simulator.sender.pump()}

    async def fault(given: dict[str, Any], _: int) -> object:
        simulator.faults.append(Fault(FaultKind(given.pop("kind")), **given))
        return {"faults": len(simulator.faults)}

    async def mend(_: dict[str, Any], __: int) -> object:
        simulator.faults.clear()
        return {"faults": 0}

    async def away(given: dict[str, Any], _: int) -> object:
        seconds = float(given["seconds"])
        simulator.go_away(seconds)
        return {"away": seconds}

    async def ledger(_: dict[str, Any], __: int) -> object:
        return simulator.ledger.told()

    return [
        web.post("/sim/orders", _handler(orders)),
        web.post("/sim/orders/{id:\\d+}/status", _handler(status)),
        web.post("/sim/orders/{id:\\d+}/trash", _handler(trash)),
        web.post("/sim/orders/{id:\\d+}/restore", _handler(restore)),
        web.post("/sim/orders/{id:\\d+}/refund", _handler(refund)),
        web.post("/sim/deliver", _handler(deliver)),
        web.post("/sim/faults", _handler(fault)),
        web.delete("/sim/faults", _handler(mend)),
        web.post("/sim/away", _handler(away)),
        web.get("/sim/ledger", _handler(ledger)),
    ]


def _handler(
    work: Callable[[dict[str, Any], int], Awaitable[object]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            given = json.loads(await request.read() or b"{}")
            answer = await work(given, int(request.match_info.get("id", 0)))
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)
        return web.json_response(answer, dumps=lambda value: json.dumps(value, default=str))

    return handle
