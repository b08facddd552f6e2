"""Tie-independent retrieval figures, and the protocol stored with each. numpy only."""
