"""The learning ring: data sets, training, evaluation, the paper's experiments. Only it imports torch."""
