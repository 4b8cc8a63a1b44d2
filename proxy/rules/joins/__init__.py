"""What joins the copies of one order: what a page leaves of its visitor, and by what a server's event finds that."""
