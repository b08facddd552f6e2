"""The research wing: training, evaluation and the paper's experiments. The only package that imports torch."""
