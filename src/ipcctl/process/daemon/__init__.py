"""Start a daemon, know that it started, and find it again.  See daemon(7)."""
