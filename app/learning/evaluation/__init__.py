"""Retrieval figures that do not depend on how ties fall, and the protocol stored with each. numpy only."""
