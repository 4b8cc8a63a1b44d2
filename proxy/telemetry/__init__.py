"""What is going on: metrics, conditions, faults."""
