"""The account role: our own fills, orders, positions and balance, with API credentials, no key."""
