"""The operator listener, for the owner: dashboard, metrics, health, and the JSON behind them."""
