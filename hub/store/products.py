"""Products, remembered between batches."""

from collections.abc import Collection
from typing import Any

from hub.store import texts
from schemas.master import Product

_PRODUCTS = """
select code, name, unit, price, vat_exempt, vat_percent, duty_percent, stocked, active, product_group, second_unit,
       barcode
from products where code = any(string_to_array($1, $2))
"""

_PRODUCT_VERSION = "select version from product_version"


class ProductCache:
    """Products as last read, good for as long as PostgreSQL's product version is the one they were read at."""

    def __init__(self) -> None:
        self._version: int | None = None
        self._products: dict[str, Product] = {}

    async def get(self, connection: Any, codes: Collection[str]) -> dict[str, Product]:
        """The products with these codes that exist, as committed now."""
        if not codes:
            return {}
        version = await connection.fetchval(_PRODUCT_VERSION)
        if version != self._version:
            self._version, self._products = version, {}
        products = self._products
        missing = [code for code in codes if code not in products]
        if missing:
            rows = await connection.fetch(_PRODUCTS, texts.joined(missing), texts.SEPARATOR)
            products.update({row[0]: Product(*row) for row in rows})
        return {code: products[code] for code in codes if code in products}
