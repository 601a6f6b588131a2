"""How a feature is declared."""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Theme: TypeAlias = Literal["velocity", "intermittency", "price", "channels", "stock", "signals", "calendar"]
DType: TypeAlias = Literal["float", "integer", "flag", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One column of the features of a product at an as-of day.

    Attributes:
        name: of the column.
        theme: what it is about; a section of ``docs/features.md``.
        formula: in words; ``u`` are units sold on a day, ``N`` the known days of the window.
        windows: the days it looks at, ending with as-of; none if it looks at one day or at all of history.
        unit: of its values; ``-`` where they have none.
        meaning: one line for a person.
        no_data: when there is no value (NULL), or what is given instead.
        dtype: of its values; an integer or flag has a double with NaN for no value in arrays.
        source: where the formula comes from, if it is not plain arithmetic.
    """

    name: str
    theme: Theme
    formula: str
    windows: tuple[int, ...] = ()
    unit: str
    meaning: str
    no_data: str
    dtype: DType = "float"
    source: str = ""


def over(windows: tuple[int, ...], feature: Feature) -> tuple[Feature, ...]:
    """The feature once for each window, which its name ends with."""
    return tuple(replace(feature, name=f"{feature.name}_{days}", windows=(days,)) for days in windows)


def each(words: tuple[str, ...], feature: Feature) -> tuple[Feature, ...]:
    """The feature once for each word, which its name ends with; ``{}`` in its meaning is the word."""
    return tuple(
        replace(feature, name=f"{feature.name}_{word}", meaning=feature.meaning.format(word))
        for word in words
    )
