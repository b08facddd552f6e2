"""Register models, verify their artifacts and open their encoders."""
