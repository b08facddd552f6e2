"""The only place that speaks SQL: tables, engines, units of work and one repository a table family."""
