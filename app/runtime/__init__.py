"""Runtime: the loop around the engine and its durability: journal, snapshots, recovery."""
