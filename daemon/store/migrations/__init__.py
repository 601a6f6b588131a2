"""Migrations, oldest first: each brings a database one step further."""
