"""All tables and their constraints. The migrations create the same schema; a test compares the two.

Insertion numbers and the keys of collections are change numbers (see ``changes.py``), so they are never reused,
not even after a delete. ``codes``, ``descriptors``, ``unencoded`` and ``image_terms`` have no foreign keys: one
repository writes and deletes them with their picture, and a check per row would double the cost of a batch.
"""

from typing import Final

import sqlalchemy as sa

from app.store.schema.columns import NUMBER, UtcDateTime

metadata: Final = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

NAME: Final = sa.String(63)
SHA256: Final = sa.String(64)

change_counter = sa.Table(
    "change_counter",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("value", NUMBER, nullable=False),
    # The feed contains no changes at or below this number.
    sa.Column("pruned", NUMBER, nullable=False, server_default="0"),
    sa.CheckConstraint("id = 1", name="one_row"),
)

models = sa.Table(
    "models",
    metadata,
    sa.Column("name", NAME, primary_key=True),
    sa.Column("digest", SHA256, nullable=False),
    sa.Column("bits", sa.Integer, nullable=False),
    sa.Column("descriptor_bytes", sa.Integer, nullable=False),
    sa.Column("origin", sa.String(16), nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("location", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("digest"),
    sa.CheckConstraint("origin IN ('shipped', 'trained')", name="origin"),
)

collections = sa.Table(
    "collections",
    metadata,
    sa.Column("pk", NUMBER, primary_key=True, autoincrement=False),
    # NULL: deleted; the sweeper is removing its pictures.
    sa.Column("name", NAME),
    sa.Column("model", NAME, sa.ForeignKey("models.name"), nullable=False),
    sa.Column("previous_model", NAME, sa.ForeignKey("models.name")),
    # New pictures get codes under this model too.
    sa.Column("next_model", NAME),
    # Every process loads the index of this model and keeps it up to date, before a switch.
    sa.Column("warming_model", NAME),
    sa.Column("keeps", sa.String(16), nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    # Where its codes are searched: in each process, or on another server.
    sa.Column("index_kind", sa.String(16), nullable=False, server_default="local"),
    sa.UniqueConstraint("name"),
    sa.CheckConstraint("keeps IN ('copies', 'references')", name="keeps"),
)

images = sa.Table(
    "images",
    metadata,
    sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("collection_pk", NUMBER, sa.ForeignKey("collections.pk"), nullable=False),
    sa.Column("image_id", sa.String(255), nullable=False),
    sa.Column("sha256", SHA256, nullable=False),
    sa.Column("uri", sa.Text),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("media_type", sa.String(64), nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("has_bytes", sa.Boolean, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("change", NUMBER, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("is_blank", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.UniqueConstraint("collection_pk", "image_id"),
    sa.Index(None, "collection_pk", "sha256"),
    sa.Index(
        "ix_images_blank",
        "collection_pk",
        "number",
        sqlite_where=sa.text("is_blank"),
        postgresql_where=sa.text("is_blank"),
    ),
    sa.Index(None, "collection_pk", "number"),
    sa.Index(None, "sha256"),
)

# Clustered by number within a collection and model, so that one scan loads an index. Descriptors have their own
# table: a thousand bytes next to each code would make that scan read a hundred times as much.
# Perceptual hashes and colour signatures are rows under the names of ``domain.signatures.SIGNATURES``.
codes = sa.Table(
    "codes",
    metadata,
    sa.Column("collection_pk", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("model", NAME, primary_key=True),
    sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("code", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

descriptors = sa.Table(
    "descriptors",
    metadata,
    sa.Column("collection_pk", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("model", NAME, primary_key=True),
    sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("descriptor", sa.LargeBinary, nullable=False),
)

# Why encoding a picture under a model failed.
unencoded = sa.Table(
    "unencoded",
    metadata,
    sa.Column("collection_pk", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("model", NAME, primary_key=True),
    sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sqlite_with_rowid=False,
)

# The inverted index of ``domain.filters``: a match reads one range of the primary key, a numeric range reads
# one range of the partial index.
image_terms = sa.Table(
    "image_terms",
    metadata,
    sa.Column("collection_pk", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("term", sa.Text, primary_key=True),
    sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
    # For numbers: ``domain.numbers.order_key``. A double would round large integers.
    sa.Column("number_order", sa.LargeBinary),
    sa.Index(
        None,
        "collection_pk",
        "key",
        "number_order",
        "number",
        sqlite_where=sa.text("number_order IS NOT NULL"),
        postgresql_where=sa.text("number_order IS NOT NULL"),
    ),
    sa.Index(None, "number"),
    sqlite_with_rowid=False,
)

# Words learned from the metadata of a collection's pictures, and the weight of each bit of a model's codes.
learned_words = sa.Table(
    "learned_words",
    metadata,
    sa.Column("collection_pk", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("model", NAME, primary_key=True),
    sa.Column("word", sa.String(64), primary_key=True),
    sa.Column("pictures", NUMBER, nullable=False),
    sa.Column("precision_at_10", sa.Double, nullable=False),
    sa.Column("average_precision", sa.Double, nullable=False),
    sa.Column("uses_names", sa.Boolean, nullable=False),
    sa.Column("is_offered", sa.Boolean, nullable=False),
    sa.Column("offset", sa.Double, nullable=False),
    sa.Column("threshold", sa.Double, nullable=False),
    # Little-endian float32.
    sa.Column("weights", sa.LargeBinary, nullable=False),
)

# Pairs of pictures that a user called different, by insertion number, the smaller one first.
different_pairs = sa.Table(
    "different_pairs",
    metadata,
    sa.Column("collection_pk", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("first", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("second", NUMBER, primary_key=True, autoincrement=False),
    sa.Index(None, "first"),
    sa.Index(None, "second"),
)

changes = sa.Table(
    "changes",
    metadata,
    sa.Column("change", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("collection_pk", NUMBER),
    sa.Column("number", NUMBER),
    sa.Column("model", NAME),
)

orphans = sa.Table(
    "orphans",
    metadata,
    sa.Column("sha256", SHA256, primary_key=True),
    sa.Column("since", UtcDateTime, nullable=False),
)

# While a backup exists, the sweeper keeps the picture files that it needs.
backups = sa.Table(
    "backups",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("prefix", sa.String(16), nullable=False),
    sa.Column("secret_hash", SHA256, nullable=False),
    sa.Column("scope", sa.String(16), nullable=False),
    sa.Column("collections", sa.JSON(none_as_null=True)),
    sa.Column("originals", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
    sa.Column("last_used_at", UtcDateTime),
    sa.Column("previous_hash", SHA256),
    sa.Column("previous_until", UtcDateTime),
)

ended_sessions = sa.Table(
    "ended_sessions",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("expires_at", UtcDateTime, nullable=False),
)

secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("name", NAME, primary_key=True),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

idempotency = sa.Table(
    "idempotency",
    metadata,
    sa.Column("scope_id", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("method", sa.String(8), nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("request_digest", SHA256, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("headers", sa.JSON),
    sa.Column("body", sa.LargeBinary),
    sa.Column("created_at", UtcDateTime, nullable=False),
    # For a request in progress: the token of the attempt, and the time until which no other may take over.
    sa.Column("claim", sa.String(32)),
    sa.Column("lease_until", UtcDateTime),
    sa.Index(None, "created_at"),
    sa.CheckConstraint("state IN ('in_flight', 'done')", name="state"),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("request", sa.String(16)),
    sa.Column("arguments", sa.JSON, nullable=False),
    sa.Column("collection_pk", NUMBER),
    # Unique among unfinished jobs.
    sa.Column("exclusive", sa.String(255)),
    sa.Column("phase", sa.String(32)),
    sa.Column("done", NUMBER, nullable=False),
    sa.Column("total", NUMBER),
    sa.Column("result", sa.JSON),
    sa.Column("error_code", sa.String(64)),
    sa.Column("error_detail", sa.Text),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("started_at", UtcDateTime),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime),
    sa.Index(None, "state"),
    sa.Index(None, "finished_at"),
    sa.Index(
        "uq_jobs_exclusive",
        "exclusive",
        unique=True,
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    ),
)

# A worker leases one part of a job at a time.
job_parts = sa.Table(
    "job_parts",
    metadata,
    sa.Column("job_id", sa.String(26), sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("arguments", sa.JSON, nullable=False),
    sa.Column("checkpoint", sa.JSON, nullable=False),
    # Fencing token; each claim increments it.
    sa.Column("attempt", sa.Integer, nullable=False),
    # Claims since the last checkpoint.
    sa.Column("strikes", sa.Integer, nullable=False),
    sa.Column("owner", sa.String(64)),
    sa.Column("lease_until", UtcDateTime),
    # Earliest time of the next claim, after a temporary failure.
    sa.Column("not_before", UtcDateTime),
    sa.Column("rate_per_s", sa.Double, nullable=False),
    sa.Index(None, "state", "lease_until"),
)

job_items = sa.Table(
    "job_items",
    metadata,
    sa.Column("job_id", sa.String(26), sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("position", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("image_id", sa.String(255)),
    sa.Column("error_code", sa.String(64)),
    sa.Column("error_detail", sa.Text),
    sa.Index(None, "job_id", "status", "position"),
    sqlite_with_rowid=False,
)

# Tasks that one process does for all.
task_leases = sa.Table(
    "task_leases",
    metadata,
    sa.Column("task", NAME, primary_key=True),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("lease_until", UtcDateTime, nullable=False),
)

processes = sa.Table(
    "processes",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    # Change number of its indexes; NULL if it has none.
    sa.Column("reached_change", NUMBER),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("heartbeat_at", UtcDateTime, nullable=False),
    # Missing packages that training needs, comma-separated; NULL if not reported or not a worker.
    sa.Column("training_lacks", sa.Text),
)

process_models = sa.Table(
    "process_models",
    metadata,
    sa.Column("process_id", sa.String(64), sa.ForeignKey("processes.id"), primary_key=True),
    sa.Column("collection_pk", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("model", NAME, primary_key=True),
    sa.Column("is_ready", sa.Boolean, nullable=False),
    sa.Column("detail", sa.Text),
)
