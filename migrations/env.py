"""Runs the migrations on the connection that ``app.store.migrate`` opened and locked."""

from alembic import context

from app.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # The caller's transaction spans the lock and every migration; alembic must not begin or commit its own.
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
