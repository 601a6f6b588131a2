"""Real processes."""
