"""What the owner sees: dashboard, metrics, health, and the JSON behind them."""
