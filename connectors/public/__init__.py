"""The public connector: market books, leaders' fills, moves and positions, metadata. No secret."""
