"""Run the service: backups, sweeping, maintenance jobs."""
