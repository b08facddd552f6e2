"""Plan imports of archives, lists and folders, and read their batches."""
