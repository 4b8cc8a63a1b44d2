"""The spool: it keeps what was acknowledged while the shared database was away, until the database has it."""
