"""What the shop sells, as somebody lists it: by SKU, priced in rials. ``goods.csv`` are the sample company's goods."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Good:
    """One thing that is sold. Goods of one ``family`` are the variations of one variable product, told apart by their
    ``option``. ``price`` is in rials, without tax."""

    sku: str
    name: str
    price: int
    taxable: bool = True
    family: str = ""
    option: str = ""
    stock: int = 50


def sample() -> tuple[Good, ...]:
    """Those of the sample company, under its own product codes."""
    text = resources.files(__package__).joinpath("goods.csv").read_text("utf-8")
    return tuple(
        Good(
            row["sku"],
            row["name"],
            int(row["price"]),
            taxable=row["taxable"] == "yes",
            family=row["family"],
            option=row["option"],
        )
        for row in csv.DictReader(io.StringIO(text))
    )


def read(text: str) -> tuple[Good, ...]:
    """From JSON: a list of objects with the fields of :class:`Good`. Raises ValueError and TypeError."""
    listed = json.loads(text)
    if not isinstance(listed, Sequence):
        raise TypeError("a list of goods is wanted")
    return tuple(Good(**each) for each in listed)
