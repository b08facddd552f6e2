"""A held-out protocol on a user's own folders: models beside baselines, on kinds and on edited copies."""
