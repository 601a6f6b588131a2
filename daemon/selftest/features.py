"""Are the features of products what the rows of their days make of them?"""

from daemon.selftest.checks import Checks
from daemon.selftest.expected import Product
from daemon.selftest.trial import Trial

_MOST, _LEAST = 2, 1  # products that are looked at: the most and the least sold


def check(trial: Trial, checks: Checks) -> None:
    """Compares the features of some products on the newest day."""
    trial.prepare()
    compare(trial, checks)


def compare(trial: Trial, checks: Checks) -> None:
    """Compares the features as of the newest day that is loaded."""
    sold: dict[str, int] = {}
    for row in trial.book.rows("sales"):
        sold[row["product_id"]] = sold.get(row["product_id"], 0) + row["quantity_sold"]
    day = str(trial.newest)
    known = {row["product_id"] for feed in ("sales", "inventory", "demand") for row in trial.book.rows(feed)}
    (count,) = trial.ask("SELECT COUNT(*) FROM product_features WHERE as_of = ?", day)[0]
    checks.equal(f"products with features as of {day}", len(known), count)
    ranked = sorted(sold, key=lambda product: (-sold[product], product))
    for product in [*ranked[:_MOST], *ranked[-_LEAST:]]:
        expected = Product(trial.book, product, trial.newest).features()
        names = ", ".join(expected)
        rows = trial.ask(
            f"SELECT {names} FROM product_features WHERE product_id = ? AND as_of = ?",  # noqa: S608
            product,
            day,
        )
        found = dict(zip(expected, rows[0], strict=True)) if rows else {}
        for name, value in expected.items():
            checks.near(f"{name} of {product}", value, found.get(name))
