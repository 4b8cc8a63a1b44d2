"""What joins a page's and a server's event of one order: sightings of visitors, and the keys that find them."""
