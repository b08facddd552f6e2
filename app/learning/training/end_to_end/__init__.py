"""Train the paper's encoder and a hash layer together, in one process or under torchrun."""
