"""``stockgrip features``: what is known of a product, for a person or a script."""

from datetime import date, datetime
from itertools import groupby
from typing import Any, Final
from zoneinfo import ZoneInfo

from daemon import terminal
from daemon.store import Store, feature_view
from daemon.store import features as table
from daemon.store.product_days import history_of
from handlers.errors import StockgripError
from handlers.features import CATALOGUE, Feature, features_of
from handlers.features.catalogue import TITLES

_LARGE: Final = 100.0  # from here on two decimals tell enough
_LEAST_MEANING: Final = 20  # columns; narrower terminals show none


class NoFeatures(StockgripError):  # noqa: N818  (named by what is so)
    """There are no such features; the message says why, and what there is."""


def look(
    store: Store,
    product: str,
    *,
    as_of: date | None,
    known_by: datetime | None,
    zone: ZoneInfo,
    fresh_days: int,
) -> dict[str, Any]:
    """A product's features.

    Args:
        store: the database.
        product: its id.
        as_of: the day; none for the newest.
        known_by: only what was known then; aware.
        zone: the business time zone.
        fresh_days: how old the latest stock level may be.

    Returns:
        ``product``, ``as_of``, ``known_at``, ``stored`` (whether it is what was computed then; else it was computed
        just now with what is known now), ``catalogue_version``, ``data_day``, ``behind`` (how many products are not
        up to date) and ``features``: by name ``value``, ``unit`` and ``meaning``.

    Raises:
        NoFeatures: the product is not known, or nothing is known of it then.
    """
    day = store.ask(table.frontier)
    if day is None or not store.ask(lambda connection: feature_view.is_known(connection, product)):
        raise NoFeatures(_unknown(store, product))
    if as_of is not None and as_of > day:
        raise NoFeatures(f"{as_of} is after the newest day with data, {day}")
    if as_of is None:
        row = store.ask(lambda connection: feature_view.newest(connection, product, known_by))
    else:
        row = store.ask(lambda connection: feature_view.stored(connection, product, as_of))
    late = row is not None and known_by is not None and row["known_at"] > known_by
    stored = row is not None and not late
    if row is None and as_of is not None and known_by is None:
        row = _computed(store, product, as_of, fresh_days)
    if row is None or late:
        raise NoFeatures(_nothing(product, as_of, known_by, row))
    return {
        "product": product,
        "as_of": row["as_of"].isoformat(),
        "known_at": row["known_at"].astimezone(zone).isoformat(),
        "stored": stored,
        "catalogue_version": row["catalogue_version"],
        "data_day": day.isoformat(),
        "behind": store.ask(feature_view.count_behind),
        "features": {
            feature.name: {
                "value": row[feature.name],
                "unit": feature.unit,
                "meaning": feature.meaning,
            }
            for feature in CATALOGUE
        },
    }


def _computed(store: Store, product: str, as_of: date, fresh_days: int) -> dict[str, Any]:
    history = store.ask(lambda connection: history_of(connection, [product], as_of, fresh_days))
    row: dict[str, Any] = features_of(history).table().to_pylist()[0]
    return row | {"known_at": store.ask(table.known_at)}


def _unknown(store: Store, product: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  (only a mistake costs it)

    like = store.ask(lambda connection: feature_view.products_like(connection, product))
    near = get_close_matches(product, like, n=3, cutoff=0.5) or like[:3]
    shown = terminal.printable(product)
    if not near:
        return f"no product {shown} is known: nothing is loaded yet"
    return f"no product {shown} is known; did you mean {' or '.join(map(terminal.printable, near))}?"


def _nothing(product: str, as_of: date | None, known_by: datetime | None, row: dict[str, Any] | None) -> str:
    shown = terminal.printable(product)
    if known_by is None:
        return f"the features of {shown} are not computed yet: the daemon does it when no file waits, or `stockgrip drain`"
    when = f"by {known_by.isoformat(' ', 'minutes')}"
    if row is not None:
        return f"the features of {shown} for {as_of} were computed at {row['known_at'].isoformat(' ', 'minutes')}, not {when}"
    of = "" if as_of is None else f" for {as_of}"
    return f"no features of {shown}{of} are kept that were known {when}"


def text(told: dict[str, Any]) -> str:
    """What was found as lines that fit the terminal, grouped by theme."""
    day = date.fromisoformat(told["as_of"])
    at = datetime.fromisoformat(told["known_at"]).isoformat(" ", "minutes")
    how = (
        f"known at {at}"
        if told["stored"]
        else f"computed now from the daily sums, with what is known now ({at})"
    )
    lines = [
        terminal.fitted(f"{terminal.printable(told['product'])} as of {day:%A} {day}"),
        terminal.fitted(f"{how}; catalogue {told['catalogue_version']}"),
    ]
    if told["behind"]:
        lines.append(terminal.fitted(f"{told['behind']:,} products are behind: their features follow"))
    shown = {feature.name: _figure(feature, told["features"][feature.name]["value"]) for feature in CATALOGUE}
    for theme, features in groupby(CATALOGUE, key=lambda feature: feature.theme):
        lines += ["", TITLES[theme]]
        for feature in features:
            lines += _lines(feature, shown)
    return "\n".join(lines)


def _lines(feature: Feature, shown: dict[str, str]) -> list[str]:
    """One feature: name, value, and as far as there is room unit and meaning."""
    columns = terminal.width()
    value = shown[feature.name]
    meaning = feature.meaning if value != "-" else f"no value: {feature.no_data}"
    unit = "" if feature.unit == "-" else feature.unit
    begin = f"  {feature.name:{max(map(len, shown))}}  {value:>{max(map(len, shown.values()))}}"
    with_unit = f"{begin}  {unit:{max(len(one.unit) for one in CATALOGUE)}}  "
    if columns - len(with_unit) >= _LEAST_MEANING:
        return terminal.wrapped(meaning, columns, with_unit)
    line = f"{begin}  {unit}".rstrip()
    return [line if len(line) <= columns else terminal.beginning(begin, columns)]


def _figure(feature: Feature, value: Any) -> str:
    """A value as a person reads it."""
    if value is None:
        return "-"
    match feature.dtype:
        case "text":
            return str(value)
        case "flag":
            return "yes" if value else "no"
        case "integer":
            return f"{value:,}"
        case _:
            return f"{value:,.2f}" if abs(value) >= _LARGE else f"{value:.4g}"
