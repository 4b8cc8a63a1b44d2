"""The default engine: one SQLite file in ``data_dir``."""
