"""Values in memory that scripts share."""
