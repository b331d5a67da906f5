"""Whom to follow: wallets, profile addresses and names, and what is refused."""

import httpx
import pytest

from infra.profiles import LeaderRefused, ProfileName, look_up, parse_leader, parse_wallet

WALLET = "0xa3f1c0a9b8d7e6f5049382716a5b4c3d2e1f0a9b"
CHECKED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # an example of EIP-55 itself
GAMMA = "http://gamma.test"


def gamma(*profiles: object, status: int = 200, text: str | None = None) -> httpx.Client:
    """A client whose every answer holds these profiles."""

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/public-search"
        assert request.url.params["search_profiles"] == "true"
        if text is not None:
            return httpx.Response(status, text=text)
        return httpx.Response(status, json={"profiles": list(profiles), "events": []})

    return httpx.Client(transport=httpx.MockTransport(answer))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (WALLET, WALLET),
        (f"  {WALLET.upper().replace('0X', '0x')} ", WALLET),
        (CHECKED, CHECKED.lower()),
        (f"https://polymarket.com/profile/{WALLET}", WALLET),
        (f"https://polymarket.com/profile/{WALLET}?tab=activity", WALLET),
        (f"polymarket.com/profile/{WALLET}/", WALLET),
        ("https://polymarket.com/@Quick.One", ProfileName("Quick.One")),
        ("https://www.polymarket.com/profile/@quick", ProfileName("quick")),
        ("@quick", ProfileName("quick")),
        ("quick-1", ProfileName("quick-1")),
    ],
)
def test_a_wallet_a_profile_address_and_a_name_are_understood(text: str, meant: object) -> None:
    assert parse_leader(text) == meant


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is no wallet"),
        ("two words", "is no wallet"),
        (WALLET[:-1], "not 0x and 40 hex digits"),
        (f"{WALLET}0", "not 0x and 40 hex digits"),
        (CHECKED.replace("5aA", "5aB"), "capitals are wrong"),
        (f"https://polymarket.example/profile/{WALLET}", "is no profile"),
        (f"https://polymarket.com.evil.test/profile/{WALLET}", "is no profile"),
        ("https://polymarket.com/event/some-market", "is no profile"),
    ],
)
def test_what_names_nobody_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(LeaderRefused, match=reason):
        parse_leader(text)


def test_one_wrong_letter_of_a_checksummed_address_is_noticed() -> None:
    """Real money would follow a stranger."""
    assert parse_wallet(CHECKED) == CHECKED.lower()
    with pytest.raises(LeaderRefused, match="EIP-55"):
        parse_wallet(CHECKED[:-1] + "e")


def test_a_name_is_the_wallet_of_the_profile_that_has_exactly_it() -> None:
    others = {"name": "quick-one", "proxyWallet": "0x" + "1" * 40}
    client = gamma(others, {"name": "Quick", "proxyWallet": CHECKED}, {"name": None})
    assert look_up(ProfileName("quick"), GAMMA, client) == CHECKED.lower()


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        (gamma(), "no profile is called 'quick'"),
        (gamma({"name": "quick1", "proxyWallet": WALLET}), "no profile is called 'quick'"),
        (gamma({"name": "quick"}), "no profile is called 'quick'"),
        (
            gamma(
                {"name": "quick", "proxyWallet": WALLET},
                {"name": "QUICK", "proxyWallet": CHECKED},
            ),
            "2 profiles are called 'quick'",
        ),
        (gamma(status=503), "answered 503"),
        (gamma(text="<html>"), "no profile list"),
    ],
)
def test_a_name_that_is_not_exactly_one_profile_is_refused(
    client: httpx.Client, reason: str
) -> None:
    """Resembling names are how impostors are followed."""
    with pytest.raises(LeaderRefused, match=reason):
        look_up(ProfileName("quick"), GAMMA, client)


def test_without_a_network_the_wallet_itself_is_asked_for() -> None:
    def unreachable(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route", request=request)

    client = httpx.Client(transport=httpx.MockTransport(unreachable))
    with pytest.raises(LeaderRefused, match="give the wallet of 'quick' itself"):
        look_up(ProfileName("quick"), GAMMA, client)
