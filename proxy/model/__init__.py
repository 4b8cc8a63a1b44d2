"""The data types that all other packages share; this package imports none of the others."""
