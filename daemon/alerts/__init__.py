"""Alerts on their way to people: letters, webhooks, the log."""
