"""What an owner wants to know, made from rollups: pure, and told apart what is known and what is not.

Every figure is defined in plain words in ``docs/figures.md``.
"""
