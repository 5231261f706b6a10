"""Alembic's entry: runs revisions on the connection, and within the transaction, that mripacs.store.migrate opened."""

from alembic import context

from mripacs.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",  # SQLite alters a table by rebuilding it
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
