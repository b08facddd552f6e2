"""The only package that runs SQL: tables, engines, units of work, and one repository per group of tables."""
