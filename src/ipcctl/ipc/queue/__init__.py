"""A durable queue between scripts, and its workers."""
