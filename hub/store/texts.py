"""Lists of codes as one text parameter each, split again by PostgreSQL.

asyncpg looks at every element of an array to see whether it is an array itself; with some thousand codes in a batch
that costs more than all else a query does.
"""

from collections.abc import Sequence

SEPARATOR = "\x1f"
_HARMLESS = {0x00: "\N{REPLACEMENT CHARACTER}", 0x1F: "\N{REPLACEMENT CHARACTER}"}


def joined(values: Sequence[str]) -> str:
    """The values as one text for ``string_to_array(text, SEPARATOR)``, with one empty value more at the end: without
    it a single empty value would come out as no value at all.

    No code of ours has a control character (hub.rules.validation); one that was sent all the same must not shift the
    values behind it, so it comes out as another, unknown code.
    """
    text = SEPARATOR.join(values) + SEPARATOR
    if text.count(SEPARATOR) != len(values) or "\x00" in text:
        text = SEPARATOR.join(value.translate(_HARMLESS) for value in values) + SEPARATOR
    return text


def columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows of texts as one joined text a column."""
    return [joined(column) for column in zip(*rows, strict=True)]
