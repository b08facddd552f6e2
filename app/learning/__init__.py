"""The research wing: the only place that imports torch; nothing that serves imports it."""
