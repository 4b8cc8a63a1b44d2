"""Several processes of one proxy: fronts that answer strangers, one back that owns the queue, and their parent."""
