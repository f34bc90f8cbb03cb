"""The loop around the engine and what makes it durable: journal, snapshots, recovery."""
