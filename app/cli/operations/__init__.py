"""Commands for operators: backups, keys, jobs, database, settings, diagnosis, benchmark."""
