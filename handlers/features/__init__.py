"""Features: what is computed for each product and day from the daily aggregates. Pure, all products at once.

``build`` makes a ``History`` from rows of the aggregates, ``features_of`` computes every feature of it,
``CATALOGUE`` says what each one is. Start reading at ``velocity.py``: a theme declares its features above the
code that computes them.
"""

from handlers.features.build import SalesRows, SignalRows, StockRows, build
from handlers.features.catalogue import CATALOGUE, FEATURES, VERSION
from handlers.features.compute import Features, features_of
from handlers.features.feature import Feature
from handlers.features.history import Attributes, History, Sales, Signals, Stock

__all__ = [
    "CATALOGUE",
    "FEATURES",
    "VERSION",
    "Attributes",
    "Feature",
    "Features",
    "History",
    "Sales",
    "SalesRows",
    "SignalRows",
    "Signals",
    "Stock",
    "StockRows",
    "build",
    "features_of",
]
