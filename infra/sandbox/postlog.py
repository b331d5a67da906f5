"""What arrived at POST /order: every signed order by its hash, and what became of each arrival."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Post:
    """All arrivals of one order hash."""

    order_id: str
    wallet: str
    token: str
    side: str
    order_type: str
    usd_micro: int
    shares_micro: int
    first_ms: int
    arrivals: int = 0
    accepted: int = 0
    lost_answers: int = 0
    refusals: list[str] = field(default_factory=list)


class PostLog:
    """By order hash, in the order of first arrival."""

    def __init__(self) -> None:
        self.by_hash: dict[str, Post] = {}

    def arrived(self, post: Post) -> Post:
        """Count an arrival, noting the order at the first."""
        known = self.by_hash.setdefault(post.order_id, post)
        known.arrivals += 1
        return known
