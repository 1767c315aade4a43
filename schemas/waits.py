"""Why documents that stand at ``posting`` wait: told once by the connector that posts them, for all of them.

It is kept among the connector's records (``connectors.base.Records``), and shown with each of its waiting documents.
"""

from typing import Final

import msgspec

from schemas.dates import Moment, jalali_time
from schemas.documents import Document, State
from schemas.reasons import reason

BUCKET: Final = "posting"
KEY: Final = "waits"

_SAID: Final = ("posting_waits", "posting_waits_since")


class Wait(msgspec.Struct, frozen=True):
    """Why nothing can be posted, and since when."""

    why: str
    since: Moment

    def shown_on(self, document: Document) -> Document:
        """The document with this as its reason, if it waits."""
        if document.state is not State.POSTING:
            return document
        since = f"{jalali_time(self.since)} ({self.since:%Y-%m-%d %H:%M:%S} UTC)"
        others = tuple(each for each in document.reasons if each.code not in _SAID)
        return msgspec.structs.replace(
            document, reasons=(reason("posting_waits_since", why=self.why, since=since), *others)
        )
