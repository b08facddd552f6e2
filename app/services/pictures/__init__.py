"""Add, show, change and delete pictures and collections."""
