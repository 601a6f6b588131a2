"""What a feed declares: its columns, its rules, its key and its daily aggregate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import pyarrow as pa

from handlers.columns import Column, Text
from handlers.reasons import RowReason

Rows: TypeAlias = pa.RecordBatch | pa.Table

PRODUCT_ID = Column("product_id", Text(longest=64), required=True)


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition between columns of one row.

    Attributes:
        reason: the code of a row that breaks it.
        column: the column the reject names.
        broken: rows (typed columns) to a boolean array, true where the rule is broken; null counts as kept.
        message: what is wrong, in words.
    """

    reason: RowReason
    column: str
    broken: Callable[[Rows], pa.Array]
    message: str


@dataclass(frozen=True, slots=True)
class Additive:
    """A daily aggregate whose measures are sums of integers, so that taking rows out leaves nothing behind.

    Attributes:
        table: its table.
        keys: the columns of its key: ``product_id``, ``day``, and others: a product's last days are one range.
        measures: its integer columns; ``rows`` counts the rows behind them.
        summarise: typed rows of any number of days to one row per key.
    """

    table: str
    keys: tuple[str, ...]
    measures: tuple[str, ...]
    summarise: Callable[[Rows], pa.Table]

    def merged(self, parts: Sequence[pa.Table]) -> pa.Table:
        """Several summaries as one, with one row per key."""
        grouped = pa.concat_tables(parts).group_by(list(self.keys))
        sums = grouped.aggregate([(name, "sum") for name in self.measures])
        return sums.rename_columns([*self.keys, *self.measures])


@dataclass(frozen=True, slots=True)
class Fold:
    """A measure of a snapshot aggregate.

    Attributes:
        name: its column.
        how: ``last`` by time, ``min`` or ``sum`` over the rows of a day, or ``count`` of the rows with a value.
        of: a column of the feed, or an SQL expression over its columns that both databases read alike.
    """

    name: str
    how: Literal["last", "min", "sum", "count"]
    of: str
    integer: bool = True


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A daily aggregate that is made anew from the rows of a key and day whenever one of them changes."""

    table: str
    keys: tuple[str, ...]
    folds: tuple[Fold, ...]


@dataclass(frozen=True, slots=True)
class Feed:
    """A kind of file.

    Attributes:
        name: ``sales``, ``inventory``, …; also its name in the config.
        table: where its rows go.
        columns: in the order of the table.
        rules: conditions between columns.
        key: the columns that identify a row, or none; the latest delivery of a key wins.
        repeats: ``reject`` an earlier row of a file whose key comes again, or ``number`` such rows (the n-th line
            of a product in a transaction) in the last column of the key.
        daily: its aggregate.
    """

    name: str
    table: str
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    key: tuple[str, ...]
    repeats: Literal["reject", "number"]
    daily: Additive | Snapshot

    @property
    def required(self) -> tuple[str, ...]:
        """The names a header must have."""
        return tuple(column.name for column in self.columns if column.required)

    @property
    def optional(self) -> tuple[str, ...]:
        """The names a header may have."""
        return tuple(column.name for column in self.columns if not column.required)

    def column(self, name: str) -> Column:
        """The column called ``name``."""
        return next(column for column in self.columns if column.name == name)


def names(columns: Sequence[Column]) -> tuple[str, ...]:
    """The names of columns."""
    return tuple(column.name for column in columns)
