"""Commands that train, add, evaluate and switch models, and rerun the paper."""
