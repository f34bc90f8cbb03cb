"""Bot4: a trading engine behind a REST/WebSocket API."""

__version__ = "0.1.0"
