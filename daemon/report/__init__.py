"""The report of a day: what came, what is wrong with it, what is unusual, what runs out. As JSON, and as a page for people."""

from daemon.report.make import Report, make_report

__all__ = ["Report", "make_report"]
