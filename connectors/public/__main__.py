"""`python -m connectors.public --config FILE`: runs until SIGTERM or SIGINT."""

from connectors.polymarket.command import main
from connectors.public.main import run_public

if __name__ == "__main__":
    main("connectors.public", run_public)
