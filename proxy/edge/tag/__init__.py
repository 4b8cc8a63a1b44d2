"""The browser tag as a site serves it: its script is built here and answered at a door."""
