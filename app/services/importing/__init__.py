"""Plan imports of archives, lists and folders, and carry out their batches."""
