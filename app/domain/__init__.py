"""Domain model: ids, codes, distances, filters, results and errors. No I/O."""
