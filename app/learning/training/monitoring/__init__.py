"""Show and record the progress of long training runs."""
