"""Store: the database as a projection of the journal."""
