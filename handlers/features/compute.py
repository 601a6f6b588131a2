"""All features of some products at a day."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from handlers.features import channels, dates, intermittency, price_promo, signals, stock, velocity
from handlers.features.catalogue import CATALOGUE, VERSION
from handlers.features.feature import DType
from handlers.features.history import Floats, History

ARROW_TYPES: dict[DType, pa.DataType] = {
    "float": pa.float64(),
    "integer": pa.int64(),
    "flag": pa.bool_(),
    "text": pa.string(),
}


@dataclass(frozen=True, slots=True)
class Features:
    """The features of P products at one day.

    Attributes:
        products: their ids; (P,).
        as_of: the day.
        version: of the catalogue.
        columns: feature to values, in the order of the catalogue; (P,) each: doubles with NaN for no value
            (integers and flags too), of ``text`` strings with None.
    """

    products: NDArray[np.object_]
    as_of: date
    version: str
    columns: dict[str, Floats | NDArray[np.object_]]

    def table(self) -> pa.Table:
        """``product_id``, ``as_of``, ``catalogue_version`` and the features, each of its type, no value as null.

        ``table().to_pylist()`` gives what goes into JSON or a database.
        """
        count = len(self.products)
        arrays: dict[str, pa.Array] = {
            "product_id": pa.array(self.products.tolist(), pa.string()),
            "as_of": pa.array([self.as_of] * count, pa.date32()),
            "catalogue_version": pa.array([self.version] * count, pa.string()),
        }
        for feature in CATALOGUE:
            arrays[feature.name] = _typed(self.columns[feature.name], feature.dtype)
        return pa.table(arrays)


def _typed(values: Floats | NDArray[np.object_], dtype: DType) -> pa.Array:
    if dtype == "text":
        return pa.array(values.tolist(), pa.string())
    numbers = pa.array(values, pa.float64(), mask=np.isnan(values.astype(np.float64)))
    return numbers.cast(ARROW_TYPES[dtype])


def features_of(history: History) -> Features:
    """Every feature of the catalogue for each product, all products at once.

    The same history gives the same bits, whatever other products are in it and in which order.
    """
    computed: dict[str, Floats | NDArray[np.object_]] = {
        **velocity.compute(history),
        **intermittency.compute(history),
        **price_promo.compute(history),
        **channels.compute(history),
        **stock.compute(history),
        **signals.compute(history),
        **dates.compute(history),
    }
    return Features(
        products=history.products,
        as_of=history.as_of,
        version=VERSION,
        columns={feature.name: computed[feature.name] for feature in CATALOGUE},
    )
