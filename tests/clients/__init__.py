"""Real clients against real servers on loopback, and a daemon that watches where their files arrive."""
