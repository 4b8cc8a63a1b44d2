"""Reads events of the past from files: maps columns, gives stable ids, and finds what Meta would refuse. Pure."""
