"""Change models under a live collection: train, re-encode, compare, activate, roll back."""
