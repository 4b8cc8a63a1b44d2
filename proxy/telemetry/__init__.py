"""What the proxy reports of itself: metrics, conditions, faults and readiness."""
