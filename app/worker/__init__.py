"""The process that claims jobs and runs their handlers."""
