"""One module a concept: the IDs of its checks, and mutations of its source, as mutants.Subject has them."""
