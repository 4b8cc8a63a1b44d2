"""The figures that an owner wants to know, computed from rollups without I/O; they separate known from not known.

Every figure is defined in plain words in ``docs/figures.md``.
"""
