"""What policies learn from: episodes, on disk and as sequences for the network."""
