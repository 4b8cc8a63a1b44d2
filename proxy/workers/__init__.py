"""Several processes of one proxy: fronts that answer visitors, one back that owns the queue, and their parent."""
