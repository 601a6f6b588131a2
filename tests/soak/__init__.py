"""Tests with real processes that take minutes."""
