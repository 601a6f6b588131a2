"""Quality metrics: what pure functions say of small daily aggregates.

Each module is one metric and gives ``Result`` values; none looks at raw rows, a clock or a table. ``result.py`` has the
statuses and thresholds, ``docs/quality.md`` what the metrics mean.
"""
