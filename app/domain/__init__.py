"""Values and rules of the service: ids, codes, distances, filters, results, errors. No I/O."""
