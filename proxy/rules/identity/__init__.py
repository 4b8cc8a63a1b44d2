"""Who the browser is: its ids, its visitor cookie, and the digests by which its visitor is known."""
