"""TimescaleDB features under its own licence: used if available, done without otherwise.

The Apache edition has hypertables and none of these; other editions and versions differ. A schema
must not fail over something that only makes it smaller or faster, so each step has a savepoint of
its own, and what it would have made has an ordinary equivalent, or none is needed.
"""

import logging

from alembic import op
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

logger = logging.getLogger("alembic.timescaledb")

_EXTENSION = text("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')")
_LICENCE = text("SELECT current_setting('timescaledb.license', true)")
_AGGREGATES = text("SELECT view_name FROM timescaledb_information.continuous_aggregates")


def is_there(bind: Connection) -> bool:
    return bool(bind.execute(_EXTENSION).scalar_one())


def is_licensed(bind: Connection) -> bool:
    """Whether compression, retention and continuous aggregates may be tried."""
    return is_there(bind) and bind.execute(_LICENCE).scalar_one() == "timescale"


def attempt(what: str, *statements: str) -> bool:
    """Execute all statements or none; returns False, and logs it, if the server cannot."""
    try:
        with op.get_bind().begin_nested():
            for statement in statements:
                op.execute(statement)
    except DBAPIError as error:
        reason = str(error.orig or error).strip().splitlines()[0]
        logger.warning("%s is not available here and is done without: %s", what, reason)
        return False
    return True


def create_aggregate(name: str, query: str, plain_query: str, policy: tuple[str | None, str] | None) -> None:
    """A continuous aggregate that is kept up to date, else a view with the same rows.

    `policy`: how old what is refreshed may be (None: however old), and how young; None where
    `query` may not be tried.
    """
    since = "NULL" if policy is None or policy[0] is None else f"INTERVAL '{policy[0]}'"
    if policy is not None and attempt(
        f"the continuous aggregate {name}",
        f"CREATE MATERIALIZED VIEW {name} WITH (timescaledb.continuous, "
        f"timescaledb.materialized_only = false) AS {query} WITH NO DATA",
        f"SELECT add_continuous_aggregate_policy('{name}', start_offset => {since}, "
        f"end_offset => INTERVAL '{policy[1]}', schedule_interval => INTERVAL '1 minute')",
    ):
        return
    op.execute(f"CREATE VIEW {name} AS {plain_query}")


def drop_aggregate(name: str) -> None:
    """Drop it as what it is: the licence may have changed since it was created."""
    bind = op.get_bind()
    continuous = set(bind.execute(_AGGREGATES).scalars()) if is_there(bind) else set()
    op.execute(f"DROP {'MATERIALIZED ' if name in continuous else ''}VIEW {name}")


def compress(table: str, segment: str, order: str, after: str) -> None:
    """Compress old chunks, in the order in which they are read. Repeatable: later chunks follow."""
    attempt(
        f"compression of {table}",
        f"ALTER TABLE {table} SET (timescaledb.compress, timescaledb.compress_segmentby = '{segment}', "
        f"timescaledb.compress_orderby = '{order}')",
        f"SELECT add_compression_policy('{table}', INTERVAL '{after}', if_not_exists => true)",
    )


def retain(table: str, kept: str) -> None:
    attempt(
        f"retention of {table}",
        f"SELECT add_retention_policy('{table}', INTERVAL '{kept}', if_not_exists => true)",
    )
