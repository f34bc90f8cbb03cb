"""The database, as a projection of what the journal holds."""
