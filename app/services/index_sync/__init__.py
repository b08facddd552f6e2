"""Keep the in-memory indexes of this process in step with the database."""
