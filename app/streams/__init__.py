"""Live streams: what `WS /v1/stream` sends, to whom, and what it remembers."""
