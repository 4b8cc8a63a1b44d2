"""From the queue to Graph."""
