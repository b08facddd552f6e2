"""The paper's tables and ablations, one experiment a file; ``paper.run_paper`` runs them all."""
