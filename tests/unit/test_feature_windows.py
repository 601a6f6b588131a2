"""Windows: as bytes and back, moved on, and with new days in place of old ones."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.after import windows
from daemon.after.windows import AHEAD, NEVER, SHAPES
from handlers.features import StockRows

DAY = date(2025, 6, 30)
LARGEST = (2**15 - 1, 2**31 - 1, 2**63 - 1)


def filled(seed, largest):
    """A window for each of some products, with numbers up to the largest of each."""
    numbers = np.random.default_rng(seed)
    arrays = windows.empty(len(largest))
    for array in arrays.values():
        for place, most in enumerate(largest):
            array[place] = numbers.integers(-most, most, array.shape[1:], endpoint=True)
    arrays["known"] &= 1
    return arrays


@settings(max_examples=20)
@given(
    seed=st.integers(0, 9),
    largest=st.lists(st.sampled_from([0, 1, *LARGEST, *(n + 1 for n in LARGEST[:2])]), max_size=6),
)
def test_windows_come_back_from_bytes(seed, largest):
    arrays = filled(seed, largest)
    found = windows.unpack(windows.pack(arrays))
    for name in SHAPES:
        np.testing.assert_array_equal(found[name], arrays[name])


def test_a_usual_window_is_less_than_a_page():
    arrays = windows.empty(1)
    arrays["revenue_e4"][0, -1] = 2**31 - 1
    arrays["units"][0, -1] = -(2**15)
    assert len(windows.pack(arrays)[0]) < 4_000
    arrays["units"][0, -1] = 2**15
    assert len(windows.pack(arrays)[0]) > 4_000


def test_no_bytes_are_an_empty_window_and_a_later_release_is_not_misread():
    assert all(not array.any() for array in windows.unpack([b"", b""]).values())
    with pytest.raises(ValueError, match="layout 9; this release knows 1 to 3"):
        windows.unpack([bytes([9])])


def test_each_window_moves_on_by_its_own_days():
    arrays = windows.empty(4)
    for array in arrays.values():
        array[:] = np.arange(1, array.shape[-1] + 1)
    before = {name: array.copy() for name, array in arrays.items()}
    windows.shift(arrays, np.array([0, 1, 40, 1_000]))
    for name, array in arrays.items():
        np.testing.assert_array_equal(array[0], before[name][0])
        np.testing.assert_array_equal(array[1][..., :-1], before[name][1][..., 1:])
        assert not array[1][..., -1].any()
        np.testing.assert_array_equal(array[2][..., :-40], before[name][2][..., 40:])
        assert not array[3].any()


def test_only_new_days_are_replaced():
    arrays, fresh = windows.empty(3), windows.empty(3)
    for array in fresh.values():
        array[:] = 1
    windows.replace_days(arrays, fresh, np.array([NEVER, 2, 0]))
    for name, array in arrays.items():
        assert not array[0].any()
        days = array[1].reshape(-1, array.shape[-1])
        ahead = AHEAD if name in ("close", "reserved", "in_transit") else 0
        assert (days.sum(axis=1) == 2 + ahead).all()
        assert (days[:, -(2 + ahead) :] == 1).all()
        assert array[2].sum() == ahead  # what counts after the data day


def test_stock_that_is_moved_on_is_what_is_built_on_the_later_day():
    numbers = np.random.default_rng(4)
    count = 60
    rows = StockRows(
        product=numbers.integers(0, 3, count),
        day=np.datetime64(DAY, "D") - numbers.integers(0, 120, count),
        location=np.arange(count) % 4,
        close=numbers.integers(0, 50, count),
        reserved=numbers.integers(0, 50, count),
        in_transit=numbers.integers(0, 50, count),
    )
    for later in (1, 5, 27, 28, 29, 90):
        moved = windows.stock_days(rows, 3, DAY)
        windows.shift(moved, np.full(3, later))
        built = windows.stock_days(rows, 3, DAY + timedelta(later))
        for name, array in built.items():
            if name != "known" or later < 90:
                np.testing.assert_array_equal(moved[name], array)


def test_the_last_day_with_a_sale():
    units = np.zeros((3, 180), np.int64)
    units[0, -1] = units[0, 5] = units[1, 0] = 1
    assert windows.last_sold(units, DAY).astype(object).tolist() == [DAY, DAY - timedelta(179), None]
