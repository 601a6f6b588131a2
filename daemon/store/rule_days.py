"""The table ``rule_days``: which rules of consistency a product could be held to on a day, and which it broke."""

from collections.abc import Sequence
from datetime import date

import pyarrow as pa
from sqlalchemy import Connection

from daemon.store.bulk import manners_of
from handlers import HANDLERS
from handlers.quality.result import Metric

_JUDGED = "judged_rule_days"
_TOUCHED = "touched_rule_days"
_COLUMNS = {"day": "DATE", "product_id": "VARCHAR(64)", "evaluated": "BIGINT", "violating": "BIGINT"}
_JUDGED_FEEDS = ", ".join(f"'{feed.name}'" for feed in HANDLERS if feed.daily is not None)


def write(connection: Connection, judged: pa.Table) -> None:
    """Writes verdicts in place of those there are; a product of which no rule could be judged has none.

    Days on which a verdict changed are due to be judged.

    Args:
        connection: of the transaction.
        judged: ``day`` (text), ``product_id``, ``evaluated`` and ``violating``, a row for each product and day.
    """
    _begin(connection)
    manners_of(connection).insert(connection, _JUDGED, judged)
    _settle(connection)


def forget_earlier(
    connection: Connection, products: Sequence[str], since: Sequence[date], before: date
) -> None:
    """Removes the verdicts of some products on days that are too long ago to be judged again.

    Args:
        connection: of the transaction.
        products: whose rows came or went.
        since: the first day on which they did, for each.
        before: the first day that can be judged.
    """
    manners = manners_of(connection)
    kinds = {"product_id": "VARCHAR(64) PRIMARY KEY", "since": "DATE"}
    connection.exec_driver_sql(manners.temporary(_TOUCHED, kinds))
    connection.exec_driver_sql(f"DELETE FROM {_TOUCHED}")
    rows = {"product_id": list(products), "since": [str(day) for day in since]}
    manners.insert(connection, _TOUCHED, pa.table(rows))
    _take_back(
        connection,
        f"rule_days r CROSS JOIN {_TOUCHED} t WHERE r.day >= '{min(since)}' AND r.day < '{before}'"
        " AND t.product_id = r.product_id AND t.since <= r.day",
    )


def forget_later(connection: Connection, wanted: str, day: date) -> None:
    """Removes the verdicts of some products on days after the data day: it went back.

    Args:
        connection: of the transaction.
        wanted: a table of the products.
        day: the data day.
    """
    _take_back(
        connection, f"rule_days r WHERE r.day > '{day}' AND r.product_id IN (SELECT product_id FROM {wanted})"
    )


def forget(connection: Connection, gone: str) -> None:
    """Removes the verdicts of the products in a table, which are not known any more."""
    _take_back(connection, f"rule_days r WHERE r.product_id IN (SELECT product_id FROM {gone})")


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


def said(connection: Connection, day: date) -> set[tuple[str, str]]:
    """Feed and scope of each rule that was judged on a day before."""
    rows = connection.exec_driver_sql(
        "SELECT DISTINCT data_source, scope FROM data_quality_metrics"
        f" WHERE day = '{day}' AND metric_name = '{Metric.CONSISTENCY}'"
    )
    return {(row[0], row[1]) for row in rows}


# ---- one way for all changes


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(manners_of(connection).temporary(_JUDGED, _COLUMNS))
    connection.exec_driver_sql(f"DELETE FROM {_JUDGED}")


def _take_back(connection: Connection, some: str) -> None:
    """Removes some verdicts (r): SQL that stands after FROM."""
    _begin(connection)
    connection.exec_driver_sql(f"INSERT INTO {_JUDGED} SELECT r.day, r.product_id, 0, 0 FROM {some}")
    _settle(connection)


def _settle(connection: Connection) -> None:
    """Puts the new verdicts in place of the old ones, and marks the days on which they differ.

    A day is judged with any feed that has data of it, or had when it was judged.
    """
    run = connection.exec_driver_sql
    changed = (
        f"SELECT DISTINCT j.day FROM {_JUDGED} j LEFT JOIN rule_days r ON r.day = j.day AND r.product_id = j.product_id"
        " WHERE COALESCE(r.evaluated, 0) <> j.evaluated OR COALESCE(r.violating, 0) <> j.violating"
    )
    has_data = f"SELECT MIN(s.feed) FROM scope_daily s WHERE s.feed IN ({_JUDGED_FEEDS}) AND s.day = c.day AND s.scope = ''"
    was_judged = (
        f"SELECT MIN(m.data_source) FROM data_quality_metrics m WHERE m.day = c.day"
        f" AND m.data_source IN ({_JUDGED_FEEDS}) AND m.metric_name = '{Metric.COMPLETENESS}'"
    )
    run(
        "INSERT INTO due_days (feed, day, delivery_id)"
        " SELECT n.feed, n.day, (SELECT MAX(id) FROM data_ingestion_log)"
        f" FROM (SELECT COALESCE(({has_data}), ({was_judged})) AS feed, c.day FROM ({changed}) c) n"
        " WHERE n.feed IS NOT NULL AND NOT EXISTS"
        f" (SELECT 1 FROM due_days d WHERE d.feed IN ({_JUDGED_FEEDS}) AND d.day = n.day)"
        " ON CONFLICT (feed, day) DO NOTHING"  # a delivery that is being committed may mark it too
    )
    run(f"DELETE FROM rule_days WHERE (day, product_id) IN (SELECT day, product_id FROM {_JUDGED})")
    columns = ", ".join(_COLUMNS)
    run(f"INSERT INTO rule_days ({columns}) SELECT {columns} FROM {_JUDGED} WHERE evaluated <> 0")
