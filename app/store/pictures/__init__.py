"""Collections, pictures, codes and models, and the feed of their changes."""
