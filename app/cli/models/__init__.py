"""Commands that train, evaluate and switch models, and rerun the paper."""
