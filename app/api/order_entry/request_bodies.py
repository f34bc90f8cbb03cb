"""Bodies of order requests: their size bounds, and their decoders."""

from app.api.http.decoding import decoder
from app.documents.schemas import AmendOrder, PlaceOrder, PlaceOrders

# Of one order; a batch may be as large as any body.
ORDER_BYTES_MAX = 1 << 14

decode_order = decoder(PlaceOrder)
decode_orders = decoder(PlaceOrders)
decode_amend = decoder(AmendOrder)
