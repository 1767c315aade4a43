"""A shop that behaves as WooCommerce does: its REST API v3 and its webhook sender, on the loop-back interface.

What is known of WooCommerce is in its documentation (woocommerce-rest-api-docs, wp-api-v3) and its source
(``class-wc-webhook.php``, ``class-wc-rest-authentication.php``); its goods and customers are made up.

- ``simulator`` what tests and demonstrations start; ``__main__`` the process; ``control`` its orders from outside
- ``shop`` what the shop holds and does; ``goods`` what it sells; ``pricing`` its sums; ``keeping`` the file it keeps
- ``api`` the REST API; ``lists`` its paging and filters; ``keys`` who may ask; ``answers`` what errors look like
- ``sender`` the webhooks; ``faults`` what goes wrong on demand; ``ledger`` what came and went
"""

from connectors.woocommerce.simulator.faults import Fault, FaultKind
from connectors.woocommerce.simulator.goods import Good, sample
from connectors.woocommerce.simulator.keys import Key, Permissions
from connectors.woocommerce.simulator.shop import Customs
from connectors.woocommerce.simulator.simulator import WooCommerceSimulator

__all__ = ["Customs", "Fault", "FaultKind", "Good", "Key", "Permissions", "WooCommerceSimulator", "sample"]
