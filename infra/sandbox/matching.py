"""Rules of the matching engine: an order's terms and refusals, the walk through offers, the fee.

Prices of market orders are implied by the signed amounts, so a BUY whose shares were rounded up
implies a price below its limit and misses an ask exactly there, as on the venue (API reference
6.4). A FAK or FOK BUY spends a budget: price improvement returns more shares (6.6). A maker may
stand in the other outcome's book: BUY Up at p against BUY Down at 1 - p mints a pair (10.6).
Pure: no clock, no chance.
"""

from collections.abc import Iterable

import msgspec

from schemas.units import LOT_MICRO, MICRO, ceil_mul, floor_div, floor_mul, format_micro

ONE_USD_MICRO = 1_000_000
FEE_STEP_MICRO = 10
_AMOUNT_STEP_MICRO = {100_000: 1_000, 10_000: 100, 5_000: 10, 2_500: 1, 1_000: 10, 100: 1}
"""Finest step of a market order's computed side, by tick (6.4)."""


class Refusal(msgspec.Struct, frozen=True):
    """The venue says no: HTTP status and the text of its error body."""

    status: int
    text: str


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What an order asks for. price_micro is on the grid; the exact limit is usd / shares."""

    side: str
    order_type: str
    usd_micro: int
    shares_micro: int
    price_micro: int

    @property
    def is_market(self) -> bool:
        return self.order_type in ("FAK", "FOK")

    def admits(self, price_micro: int) -> bool:
        """Whether the order may trade at this price of its own token."""
        left, right = price_micro * self.shares_micro, self.usd_micro * MICRO
        return left <= right if self.side == "BUY" else left >= right


class Maker(msgspec.Struct, frozen=True, kw_only=True):
    """The resting side of a fill. token is the outcome index of the maker's own book."""

    wallet: str
    owner: str
    order_id: str
    token: int
    side: str
    price_micro: int


class Offer(msgspec.Struct, frozen=True):
    """Liquidity at a price of the taker's token, with who stands behind it."""

    price_micro: int
    shares_micro: int
    maker: Maker


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One match: usd_micro is what the taker pays or gets; the maker's side follows from it."""

    price_micro: int
    shares_micro: int
    usd_micro: int
    maker: Maker

    def maker_usd_micro(self, taker_token: int) -> int:
        """What the maker pays or gets: the same, or what is missing to 1 USD a share."""
        same = self.maker.token == taker_token
        return self.usd_micro if same else self.shares_micro - self.usd_micro


def order_terms(
    order_id: str, side: str, order_type: str, maker_micro: int, taker_micro: int, tick_micro: int
) -> Terms | Refusal:
    """Terms implied by the signed amounts, or why the order cannot be (13.3)."""
    usd, shares = (maker_micro, taker_micro) if side == "BUY" else (taker_micro, maker_micro)
    invalid = f"order {order_id} is invalid."
    if usd <= 0 or shares <= 0:
        return Refusal(400, f"{invalid} Size (0) lower than the minimum: 5")
    price = round(usd * MICRO / shares / tick_micro) * tick_micro
    implied = format_micro(usd * MICRO // shares)
    if not tick_micro <= price <= MICRO - tick_micro:
        low, high = format_micro(tick_micro), format_micro(MICRO - tick_micro)
        return Refusal(400, f"{invalid} Price ({implied}), min: {low} - max: {high}")
    terms = Terms(
        side=side, order_type=order_type, usd_micro=usd, shares_micro=shares, price_micro=price
    )
    step = _AMOUNT_STEP_MICRO[tick_micro]
    if abs(usd * MICRO - price * shares) > _slack(terms, step):
        tick = format_micro(tick_micro)
        return Refusal(400, f"{invalid} Price ({implied}) breaks minimum tick size rule: {tick}")
    return _checked_amounts(terms, maker_micro, taker_micro, step)


def _slack(terms: Terms, step_micro: int) -> int:
    """How far rounding one amount to its step moves usd away from price times shares."""
    if not terms.is_market:
        return 0
    return step_micro * (terms.price_micro if terms.side == "BUY" else MICRO)


def _checked_amounts(terms: Terms, maker: int, taker: int, step: int) -> Terms | Refusal:
    if terms.is_market and (maker % LOT_MICRO or taker % step):
        decimals = len(str(MICRO // step)) - 1
        side = terms.side.lower()
        return Refusal(
            400,
            f"invalid amounts, the market {side} orders maker amount supports a max accuracy of "
            f"2 decimals, taker amount a max of {decimals} decimals",
        )
    if not terms.is_market and terms.shares_micro % LOT_MICRO:
        return Refusal(400, "invalid amounts, the size supports a max accuracy of 2 decimals")
    return terms


def limit_terms(side: str, price_micro: int, shares_micro: int) -> Terms:
    """A plain order for so many shares at a price or better."""
    cost = ceil_mul if side == "BUY" else floor_mul
    return Terms(
        side=side,
        order_type="GTC",
        usd_micro=cost(shares_micro, price_micro),
        shares_micro=shares_micro,
        price_micro=price_micro,
    )


def size_refusal(
    order_id: str, terms: Terms, *, min_shares_micro: int, marketable: bool
) -> Refusal | None:
    """The venue's two minimums: shares for every order, one dollar for a marketable BUY (6.5)."""
    if terms.shares_micro < min_shares_micro:
        size, least = format_micro(terms.shares_micro), format_micro(min_shares_micro)
        return Refusal(
            400, f"order {order_id} is invalid. Size ({size}) lower than the minimum: {least}"
        )
    if terms.side == "BUY" and marketable and terms.usd_micro < ONE_USD_MICRO:
        usd = terms.usd_micro / MICRO
        return Refusal(400, f"invalid amount for a marketable BUY order (${usd:.2f}), min size: $1")
    return None


def walk(terms: Terms, offers: Iterable[Offer]) -> list[Fill]:
    """Fills against offers, best first, within the order's limit and its budget or shares."""
    fills: list[Fill] = []
    budget = terms.usd_micro if terms.is_market and terms.side == "BUY" else None
    shares_left = terms.shares_micro
    for offer in offers:
        if not terms.admits(offer.price_micro):
            break
        if budget is not None:
            shares_left = floor_div(budget, offer.price_micro)
        shares = min(offer.shares_micro, shares_left)
        if shares <= 0:
            break
        fill = fill_at(terms.side, offer, shares)
        fills.append(fill)
        shares_left -= shares
        budget = None if budget is None else budget - fill.usd_micro
    return fills


def fill_at(side: str, offer: Offer, shares_micro: int) -> Fill:
    """A fill at an offer's price: the taker's dollars are rounded against the taker."""
    cost = ceil_mul if side == "BUY" else floor_mul
    return Fill(
        price_micro=offer.price_micro,
        shares_micro=shares_micro,
        usd_micro=cost(shares_micro, offer.price_micro),
        maker=offer.maker,
    )


def fee_micro(fills: Iterable[Fill], *, rate_micro: int, exponent: int) -> int:
    """Taker fee of one trade: shares * rate * (p(1-p))^e, to the nearest 0.00001 USD (14)."""
    scale = MICRO * int(pow(MICRO * MICRO, exponent))
    total = 0
    for fill in fills:
        doubt = int(pow(fill.price_micro * (MICRO - fill.price_micro), exponent))
        total += fill.shares_micro * rate_micro * doubt
    if total == 0:
        return 0
    steps = (2 * total + scale * FEE_STEP_MICRO) // (2 * scale * FEE_STEP_MICRO)
    return max(steps, 1) * FEE_STEP_MICRO
