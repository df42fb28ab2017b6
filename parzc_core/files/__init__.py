"""Files that others published: which there are, how they are fetched, and how they are read safely."""
