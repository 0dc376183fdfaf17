"""Chat, tools, memory and the engines behind them."""
