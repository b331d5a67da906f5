"""The account connector: one account's fills, orders, positions and cash. No signing key."""
