"""`python -m connectors.account --config FILE`: runs until SIGTERM or SIGINT."""

from connectors.account.main import run_account
from connectors.polymarket.command import main

if __name__ == "__main__":
    main("connectors.account", run_account)
