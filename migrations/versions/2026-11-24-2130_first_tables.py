"""Create the first tables: models, collections, pictures with codes and terms, the change feed, keys."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_24_2130"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    counter = op.create_table(
        "change_counter",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", NUMBER, nullable=False),
        sa.Column("pruned", NUMBER, server_default="0", nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_change_counter_one_row")),
        sa.PrimaryKeyConstraint("id", name="pk_change_counter"),
    )
    op.bulk_insert(counter, [{"id": 1, "value": 0}])
    op.create_table(
        "changes",
        sa.Column("change", NUMBER, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("collection_pk", NUMBER),
        sa.Column("number", NUMBER),
        sa.Column("model", sa.String(length=63)),
        sa.PrimaryKeyConstraint("change", name="pk_changes"),
    )
    op.create_table(
        "codes",
        sa.Column("collection_pk", NUMBER, nullable=False),
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("code", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("collection_pk", "model", "number", name="pk_codes"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "descriptors",
        sa.Column("collection_pk", NUMBER, nullable=False),
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("descriptor", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("collection_pk", "model", "number", name="pk_descriptors"),
    )
    op.create_table(
        "idempotency",
        sa.Column("scope_id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("method", sa.String(length=8), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("headers", sa.JSON()),
        sa.Column("body", sa.LargeBinary()),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint("state IN ('in_flight', 'done')", name=op.f("ck_idempotency_state")),
        sa.PrimaryKeyConstraint("scope_id", "key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])

    op.create_table(
        "image_terms",
        sa.Column("collection_pk", NUMBER, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("term", sa.Text(), nullable=False),
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("value_number", sa.Double()),
        sa.PrimaryKeyConstraint("collection_pk", "key", "term", "number", name="pk_image_terms"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_image_terms_collection_pk_key_value_number_number",
        "image_terms",
        ["collection_pk", "key", "value_number", "number"],
        sqlite_where=sa.text("value_number IS NOT NULL"),
        postgresql_where=sa.text("value_number IS NOT NULL"),
    )
    op.create_index("ix_image_terms_number", "image_terms", ["number"])

    op.create_table(
        "keys",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("revoked_at", TIME),
        sa.Column("last_used_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
    )
    op.create_table(
        "models",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("bits", sa.Integer(), nullable=False),
        sa.Column("descriptor_bytes", sa.Integer(), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint("origin IN ('shipped', 'trained')", name=op.f("ck_models_origin")),
        sa.PrimaryKeyConstraint("name", name="pk_models"),
        sa.UniqueConstraint("digest", name="uq_models_digest"),
    )
    op.create_table(
        "orphans",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_orphans"),
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_secrets"),
    )
    op.create_table(
        "collections",
        sa.Column("pk", NUMBER, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=63)),
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("previous_model", sa.String(length=63)),
        sa.Column("keeps", sa.String(length=16), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.CheckConstraint("keeps IN ('copies', 'references')", name=op.f("ck_collections_keeps")),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name="fk_collections_model"),
        sa.ForeignKeyConstraint(["previous_model"], ["models.name"], name="fk_collections_previous_model"),
        sa.PrimaryKeyConstraint("pk", name="pk_collections"),
        sa.UniqueConstraint("name", name="uq_collections_name"),
    )
    op.create_table(
        "images",
        sa.Column("number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("collection_pk", NUMBER, nullable=False),
        sa.Column("image_id", sa.String(length=255), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("uri", sa.Text()),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("media_type", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("has_bytes", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("change", NUMBER, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["collection_pk"], ["collections.pk"], name="fk_images_collection_pk"),
        sa.PrimaryKeyConstraint("number", name="pk_images"),
        sa.UniqueConstraint("collection_pk", "image_id", name="uq_images_collection_pk_image_id"),
    )
    op.create_index("ix_images_collection_pk_number", "images", ["collection_pk", "number"])
    op.create_index("ix_images_collection_pk_sha256", "images", ["collection_pk", "sha256"])
    op.create_index("ix_images_sha256", "images", ["sha256"])


def downgrade() -> None:
    for table in (
        "images",
        "collections",
        "secrets",
        "orphans",
        "models",
        "keys",
        "image_terms",
        "idempotency",
        "descriptors",
        "codes",
        "changes",
        "change_counter",
    ):
        op.drop_table(table)
