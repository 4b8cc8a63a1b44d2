"""A queue in another process of the same machine: frames over a unix socket between fronts and the back."""
