"""What the desk calls: a sale at once, and whether the hub is there."""

import hashlib
import hmac
from typing import ClassVar

from connectors import base
from connectors.base import Unauthorised
from schemas.exchange import Endpoint, Request, Response

from . import mapper
from .spec import Spec


def signature(token: str, body: bytes) -> str:
    """What a call is signed with."""
    return hmac.new(token.encode(), body, hashlib.sha256).hexdigest()


class Receiver(base.Receiver[Spec]):
    """One desk's."""

    mount = "webhooks"
    endpoints: ClassVar[tuple[Endpoint, ...]] = (
        Endpoint("sale", "POST", "/sales", "A sale, at once.", takes="application/json", status=202),
        Endpoint("there", "GET", "/there", "Whether the hub is there."),
    )

    async def receive(self, request: Request) -> Response:
        expected = signature(self.spec.token.reveal(), request.body)
        if not hmac.compare_digest(expected, request.headers.get("x-signature", "")):
            raise Unauthorised("the signature is wrong")
        if request.endpoint == "there":
            return Response()
        context = self.context
        command = mapper.command(request.body, source=context.instance, actor=context.name, now=context.clock())
        if command is not None:
            await context.publisher.documents([command])
        return Response(202)
