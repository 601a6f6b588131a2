"""What a feed means: pure descriptions and pure functions.

Nothing in this package opens a file, reads a clock or talks to a network or a database; whatever depends on
them (``now``, the business time zone) is an argument. Start reading at ``feed.py`` (what a feed declares), then
``sales.py``; ``check.py`` is what happens to the rows.

To add a feed: write one module that declares a ``Feed`` and name it in ``HANDLERS``.
"""

from handlers.demand import DEMAND
from handlers.feed import Feed
from handlers.inventory import INVENTORY
from handlers.products import PRODUCTS
from handlers.sales import SALES

HANDLERS: tuple[Feed, ...] = (SALES, INVENTORY, DEMAND, PRODUCTS)


def feed_named(name: str) -> Feed:
    """The feed called ``name``.

    Raises:
        KeyError: there is no such feed; the message lists those there are.
    """
    for feed in HANDLERS:
        if feed.name == name:
            return feed
    known = ", ".join(feed.name for feed in HANDLERS)
    raise KeyError(f"no feed is called {name!r}; the feeds are {known}")
