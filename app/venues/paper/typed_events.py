"""Events by the names of their kind, for kernels that are given arrays of EVENT records.

The engine's kernels reach the same views through its state; the venue is given events of whatever array.
"""

from app.engine import records
from app.engine.directory import define_record_view

as_new_order = define_record_view(records.NEW_ORDER_EVENT)
as_replace = define_record_view(records.REPLACE_EVENT)
as_instrument = define_record_view(records.INSTRUMENT_EVENT)
as_permission = define_record_view(records.PERMISSION_EVENT)
as_trading_state = define_record_view(records.STATE_EVENT)
