"""Queue, list, cancel and retry jobs; report which workers are alive."""
