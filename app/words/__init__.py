"""Words: parse text queries, and relate English nouns to the classes of pretrained encoders by WordNet."""
