"""Alembic's way in: migrations run on the connection, and in the transaction, that ``migrate.py`` opened."""

from alembic import context

from daemon.store.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=False,  # the transaction is the caller's
)
context.run_migrations()
