"""The table ``rule_days``: which rules of consistency a product could be held to on a day, and which it broke."""

from collections.abc import Sequence
from datetime import date

import pyarrow as pa
from sqlalchemy import Connection

from daemon.store.bulk import manners_of
from handlers import HANDLERS

_JUDGED = "judged_rule_days"


def write(connection: Connection, judged: pa.Table) -> None:
    """Writes verdicts in place of those there are; a product of which no rule could be judged has none.

    Days on which a verdict changed are due to be judged.

    Args:
        connection: of the transaction.
        judged: ``day`` (text), ``product_id``, ``evaluated`` and ``violating``, a row for each product and day.
    """
    manners, run = manners_of(connection), connection.exec_driver_sql
    kinds = {"day": "DATE", "product_id": "VARCHAR(64)", "evaluated": "BIGINT", "violating": "BIGINT"}
    run(manners.temporary(_JUDGED, kinds))
    run(f"DELETE FROM {_JUDGED}")
    manners.insert(connection, _JUDGED, judged)
    feeds = ", ".join(f"'{feed.name}'" for feed in HANDLERS)
    run(
        "INSERT INTO due_days (feed, day, delivery_id)"
        " SELECT MIN(s.feed), s.day, (SELECT MAX(id) FROM data_ingestion_log)"
        f" FROM (SELECT DISTINCT j.day FROM {_JUDGED} j LEFT JOIN rule_days r ON r.day = j.day AND r.product_id = j.product_id"
        "  WHERE COALESCE(r.evaluated, 0) <> j.evaluated OR COALESCE(r.violating, 0) <> j.violating) c"
        f" CROSS JOIN scope_daily s WHERE s.feed IN ({feeds}) AND s.day = c.day AND s.scope = ''"
        " AND NOT EXISTS (SELECT 1 FROM due_days d WHERE d.day = s.day) GROUP BY s.day"
    )
    run(f"DELETE FROM rule_days WHERE (day, product_id) IN (SELECT day, product_id FROM {_JUDGED})")
    columns = ", ".join(kinds)
    run(f"INSERT INTO rule_days ({columns}) SELECT {columns} FROM {_JUDGED} WHERE evaluated <> 0")


def forget_later(connection: Connection, wanted: str, day: date) -> None:
    """Removes the verdicts of some products on days after the data day: it went back.

    Args:
        connection: of the transaction.
        wanted: a table of the products.
        day: the data day.
    """
    connection.exec_driver_sql(
        f"DELETE FROM rule_days WHERE day > '{day}' AND product_id IN (SELECT product_id FROM {wanted})"
    )


def forget(connection: Connection, gone: str) -> None:
    """Removes the verdicts of the products in a table, which are not known any more."""
    connection.exec_driver_sql(f"DELETE FROM rule_days WHERE product_id IN (SELECT product_id FROM {gone})")


def prune(connection: Connection, before: date) -> None:
    """Removes the verdicts of days before a given one."""
    connection.exec_driver_sql(f"DELETE FROM rule_days WHERE day < '{before}'")


def counts(connection: Connection, day: date) -> list[tuple[int, int, int]]:
    """Of a day: rules that could be judged, rules that were broken, and how many products that holds for."""
    rows = connection.exec_driver_sql(
        f"SELECT evaluated, violating, COUNT(*) FROM rule_days WHERE day = '{day}' GROUP BY evaluated, violating"
    )
    return [(row[0], row[1], row[2]) for row in rows]


def breaking(connection: Connection, day: date, bit: int, most: int) -> Sequence[str]:
    """The first products that broke a rule on a day."""
    rows = connection.exec_driver_sql(
        f"SELECT product_id FROM rule_days WHERE day = '{day}' AND violating & {bit} <> 0"
        f" ORDER BY product_id LIMIT {most}"
    )
    return [row[0] for row in rows]
