"""Estimates for days of which data are missing, from Python; they are never written anywhere."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, Literal, Protocol, TypedDict, TypeVar

from daemon.config import load_settings
from daemon.settings import Settings
from daemon.store import feature_view
from daemon.store.fallback import Told, told
from handlers import fallback

_Answer = TypeVar("_Answer")
_REACH = timedelta(days=fallback.REACH)


class Basis(TypedDict):
    """What an estimate rests on.

    Attributes:
        method: how it was made (docs/api.md).
        days: the days that are like the missing one, or those of the stock levels it starts from.
        observations: how many values the interval rests on.
        mean: of those days; None of a stock level.
        correction: by how many units a stock level was moved, because the same estimate is usually so far off.
    """

    method: str
    days: list[date]
    observations: int
    mean: float | None
    correction: float


class Estimate(TypedDict):
    """An estimate in units, or why there is none.

    Attributes:
        is_estimate: always True.
        product_id: of which product.
        day: for which day.
        estimate: units; None if there is no basis.
        interval: its ends; None without an estimate.
        nominal: with which probability the interval is meant to hold the truth; None: bounds, without one.
        basis: what it rests on; None without an estimate.
        reason: why there is none; None with one.
        recorded: what the tables have for the day itself, which is not used; None if nothing.
    """

    is_estimate: Literal[True]
    product_id: str
    day: date
    estimate: float | None
    interval: tuple[float, float] | None
    nominal: float | None
    basis: Basis | None
    reason: str | None
    recorded: int | None


class _Session(Protocol):
    """What is needed of a SQLAlchemy session."""

    def connection(self) -> Any: ...

    def in_transaction(self) -> bool: ...

    def rollback(self) -> None: ...


class FallbackDataHandler:
    """Estimates what is missing, for those who must plan with something; it reads and writes nothing.

    Each estimate says that it is one, what it rests on, and within which interval the truth is to be expected.
    """

    def __init__(self, session: _Session, settings: Settings | None = None) -> None:
        """Reads the configuration.

        Args:
            session: a SQLAlchemy session (``get_session``) on the daemon's database. A transaction that a call begins
                ends with it.
            settings: of the site; by default those that ``load_settings`` finds. Its closed days are known by them.

        Raises:
            ConfigError: the configuration is wrong.
        """
        self._session = session
        self._closed = frozenset((settings or load_settings()).quality.closed_days)

    def estimate_missing_sales(self, product_id: str, day: date | str) -> Estimate:
        """How many units of a product may have been sold on a day, in all channels and places.

        It is the median of the same weekdays that are nearest to the day, before and after it.

        Args:
            product_id: which.
            day: a date, or a text such as 2026-04-14.

        Raises:
            ValueError: the day is none, or the product is not known.
        """
        day = _day(day)
        known = self._told(product_id, day)
        recorded = known.sold.get(day)
        if day in self._closed:
            return _nothing(
                product_id, day, "a closed day (quality.closed_days): nothing is missing", recorded
            )
        if known.first_seen is not None and day < known.first_seen:
            return _nothing(
                product_id, day, f"no feed knew of the product before {known.first_seen}", recorded
            )
        usual = {one: units for one, units in known.sold.items() if one not in self._closed}
        found = fallback.sales(usual, day)
        if found is None:
            why = (
                f"sales are known of too few days: {fallback.LEAST} of the same weekday within {fallback.REACH} days are"
                f" needed, or {fallback.LEAST} of any within {fallback.NEAR}"
            )
            return _nothing(product_id, day, why, recorded)
        return _made(product_id, day, found, recorded)

    def estimate_missing_inventory(self, product_id: str, day: date | str) -> Estimate:
        """How many units of a product may have been in stock at the end of a day, in all locations.

        It is the last level before, less what was sold since, plus what was in transit if it should have come by then; moved
        by what the same estimate is usually off.

        Args:
            product_id: which.
            day: a date, or a text such as 2026-04-14.

        Raises:
            ValueError: the day is none, or the product is not known.
        """
        day = _day(day)
        known = self._told(product_id, day)
        here = [level.stock for level in known.levels if level.day == day]
        recorded = sum(here) if here else None
        found = fallback.inventory(known.levels, {**dict.fromkeys(self._closed, 0), **known.net}, day)
        if found is None:
            before = any(
                timedelta(0) < day - level.day <= timedelta(days=fallback.CARRY) for level in known.levels
            )
            why = (
                "sales since the last stock level are neither known nor can be estimated"
                if before
                else f"no stock level is known of the {fallback.CARRY} days before"
            )
            return _nothing(product_id, day, why, recorded)
        return _made(product_id, day, found, recorded)

    def _told(self, product: str, day: date) -> Told:
        def read(connection: Any) -> Told:
            found = told(connection, product, day - _REACH, day + _REACH)
            if found.first_seen is None:
                near = feature_view.products_like(connection, product, most=3)
                hint = f"such as {', '.join(near)}" if near else "none is: nothing is loaded yet"
                raise ValueError(f"product_id is {product!r}, which is not known; known are {hint}")
            return found

        return self._ask(read)

    def _ask(self, question: Callable[[Any], _Answer]) -> _Answer:
        """An answer; a transaction that it begins ends with it, so that the next one sees what came since."""
        before = self._session.in_transaction()
        try:
            return question(self._session.connection())
        finally:
            if not before:
                self._session.rollback()


def _day(day: date | str) -> date:
    if isinstance(day, datetime):
        return day.date()
    if isinstance(day, date):
        return day
    try:
        return date.fromisoformat(day)
    except (TypeError, ValueError):
        raise ValueError(f"day is {day!r}; it must be a date, or a text such as 2026-04-14") from None


def _made(product: str, day: date, found: fallback.Estimate, recorded: int | None) -> Estimate:
    return {
        "is_estimate": True,
        "product_id": product,
        "day": day,
        "estimate": found.value,
        "interval": (found.low, found.high),
        "nominal": found.nominal,
        "basis": {
            "method": found.method,
            "days": list(found.days),
            "observations": found.observations,
            "mean": found.mean,
            "correction": found.correction,
        },
        "reason": None,
        "recorded": recorded,
    }


def _nothing(product: str, day: date, reason: str, recorded: int | None) -> Estimate:
    return {
        "is_estimate": True,
        "product_id": product,
        "day": day,
        "estimate": None,
        "interval": None,
        "nominal": None,
        "basis": None,
        "reason": reason,
        "recorded": recorded,
    }
