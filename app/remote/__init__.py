"""Indexes on a ClickHouse server: its connection and tables, writing to them, and views of them."""
