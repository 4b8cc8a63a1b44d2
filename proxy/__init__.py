"""A first-party proxy from Meta Pixel to the Conversions API."""
