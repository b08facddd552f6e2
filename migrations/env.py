"""Alembic environment: runs migrations on the connection that ``store.schema.migrate`` opened and locked."""

from alembic import context

from app.store.schema.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # The caller's transaction includes the lock and all migrations; Alembic must not begin or commit its own.
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
