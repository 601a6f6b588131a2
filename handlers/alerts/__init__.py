"""Alerts: which results are worth a person's attention, and what is said about them. Pure."""
