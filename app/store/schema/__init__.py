"""Tables and columns, and the migrations that make them."""
