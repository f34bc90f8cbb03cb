"""`bot4 feed-server`: recorded market data served as Binance serves it, with faults on request."""
