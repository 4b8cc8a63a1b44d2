"""All that touches a socket."""
