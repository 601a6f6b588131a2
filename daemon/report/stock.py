"""What the page says of products that are out of stock, or soon will be."""

from collections.abc import Mapping, Sequence
from typing import Any

from daemon.report.html import Child, Html, el, joined
from daemon.report.tables import Column, more, table
from daemon.report.words import counted, days_text, pace, whole


def section(found: Mapping[str, Any]) -> Html:
    """Products without stock, and with less than it takes to get more."""
    out, low = found["out"], found["low"]
    parts: list[Html | None] = [el("h2", "Stock")]
    if not found["products"]:
        return el("section", *parts, el("p", "Nothing is known of stock on this day.", class_="note"))
    if not out["count"] and not low["count"]:
        said = f"None of {counted(found['products'], 'product')} is out of stock or about to be."
        return el("section", *parts, el("p", said, class_="note"))
    if out["count"]:
        parts += [
            el("h3", f"{counted(out['count'], 'product')} out of stock"),
            el(
                "p",
                f"{out['selling']:,} of them sold in the last four weeks; those that sell most come first.",
                class_="note",
            ),
            table(
                [
                    Column("product", "name"),
                    Column("sells a day", "n"),
                    Column("on the way", "n"),
                    Column("days without stock, of 28", "n"),
                ],
                (
                    [
                        _name(one),
                        pace(one["units_a_day"]),
                        whole(one["in_transit"]),
                        whole(one["stockout_days_28"]),
                    ]
                    for one in out["items"]
                ),
            ),
            more(out["count"], len(out["items"]), "products"),
        ]
    if low["count"]:
        parts += [
            el("h3", f"{counted(low['count'], 'product')} with little cover"),
            el(
                "p",
                "Their stock lasts shorter than it takes to get more (their lead time, or 3 days where the catalogue has"
                " none). Those that will lack most come first.",
                class_="note",
            ),
            table(
                [
                    Column("product", "name"),
                    Column("available", "n"),
                    Column("sells a day", "n"),
                    Column("lasts", "n"),
                    Column("must last", "n"),
                    Column("on the way", "n"),
                ],
                map(_low, low["items"]),
            ),
            more(low["count"], len(low["items"]), "products"),
        ]
    return el("section", *parts)


def _low(one: Mapping[str, Any]) -> Sequence[Child]:
    return [
        _name(one),
        whole(one["available"]),
        pace(one["units_a_day"]),
        days_text(one["days_of_supply"]),
        days_text(one["must_last_days"]),
        whole(one["in_transit"]),
    ]


def _name(one: Mapping[str, Any]) -> Html:
    name = el("span", f" {one['name']}", class_="dim") if one["name"] else None
    return joined(el("strong", one["product"]), name)
