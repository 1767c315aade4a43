"""The sample company of ``hub dev``: master data in simulated books, documents as files, and orders through the API.

Everything goes the way a customer's own data go: the books through the ``hesabgar`` connector, the files (without books
the master data too) through the ``files`` connector, Kafka and the agents, the orders through HTTP. The orders are
posted to the books; the files' documents aren't (:data:`SOURCE`). The data carry the golden figures of the vendor's own
screens: the instant credit of account 212010006, four stock rows with what is sellable of them, and an invoice's VAT of
1400.
"""

from hub.runtime.sample.loading import SOURCE, branch, company, folder_of, load
from hub.runtime.sample.orders import ORDERS, Outcome, order_to_try, send

__all__ = ["ORDERS", "SOURCE", "Outcome", "branch", "company", "folder_of", "load", "order_to_try", "send"]
