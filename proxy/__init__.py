"""A first-party proxy from Meta Pixel to the Conversions API."""

__version__ = "0.1.0"
