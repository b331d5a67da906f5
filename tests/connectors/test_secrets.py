"""Credentials: read from a private file only, used for signing, and never let out."""

import base64
import hashlib
import hmac
import json
from pathlib import Path

import pytest

from connectors.polymarket.credentials import Credentials, CredentialsError, read_credentials
from connectors.polymarket.l2 import l2_headers
from connectors.polymarket.own_fills import OwnFills
from connectors.polymarket.redact import owner_hash, redact
from connectors.polymarket.user import UserSession
from schemas.records.base import Account

KEY = "11111111-aaaa-4bbb-8ccc-222222222222"
OTHER = "99999999-aaaa-4bbb-8ccc-888888888888"
SECRET = base64.urlsafe_b64encode(b"very secret bytes ??>>").decode()
PASSPHRASE = "correct-horse-battery"
CREDENTIALS = Credentials(api_key=KEY, secret=SECRET, passphrase=PASSPHRASE)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps({"apiKey": KEY, "secret": SECRET, "passphrase": PASSPHRASE}))
    path.chmod(0o600)
    return path


def test_a_private_file_is_read(written: Path) -> None:
    found = read_credentials(written)
    assert (found.api_key, found.secret, found.passphrase) == (KEY, SECRET, PASSPHRASE)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused_by_name(written: Path, mode: int) -> None:
    written.chmod(mode)
    with pytest.raises(CredentialsError, match="chmod 600") as raised:
        read_credentials(written)
    assert str(written) in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        '{"apiKey":"' + KEY + '","secret":"' + SECRET + '"}',
        '{"apiKey":"","secret":"' + SECRET + '","passphrase":"' + PASSPHRASE + '"}',
        SECRET,
        '{"apiKey":"' + KEY + '","secret":7,"passphrase":"' + PASSPHRASE + '"}',
    ],
)
def test_a_broken_file_is_refused_without_quoting_it(written: Path, text: str) -> None:
    written.write_text(text)
    with pytest.raises(CredentialsError) as raised:
        read_credentials(written)
    shown = f"{raised.value} {raised.value.__cause__}"
    assert not any(secret in shown for secret in (KEY, SECRET, PASSPHRASE))


def test_a_missing_file_names_the_command_that_makes_it(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", Path("")):
        with pytest.raises(CredentialsError, match="truecopy credentials"):
            read_credentials(path)


def test_credentials_show_nothing_of_themselves() -> None:
    for text in (repr(CREDENTIALS), str(CREDENTIALS), f"{[CREDENTIALS]}"):
        assert not any(secret in text for secret in (KEY, SECRET, PASSPHRASE))


def test_headers_sign_seconds_method_and_path_with_padding_kept() -> None:
    found = l2_headers(
        CREDENTIALS, signer="0xAB", method="GET", path="/data/trades", now_s=1_790_000_000
    )
    key = base64.urlsafe_b64decode(SECRET)
    digest = hmac.new(key, b"1790000000GET/data/trades", hashlib.sha256).digest()
    assert found == {
        "POLY_ADDRESS": "0xAB",
        "POLY_API_KEY": KEY,
        "POLY_PASSPHRASE": PASSPHRASE,
        "POLY_SIGNATURE": base64.urlsafe_b64encode(digest).decode(),
        "POLY_TIMESTAMP": "1790000000",
    }


def test_a_secret_that_is_no_base64_is_refused_without_showing_it() -> None:
    broken = Credentials(api_key=KEY, secret="abc", passphrase=PASSPHRASE)
    with pytest.raises(CredentialsError) as raised:
        l2_headers(broken, signer="0x", method="GET", path="/", now_s=1)
    assert "abc" not in str(raised.value)


def test_every_owner_becomes_eight_digits_of_its_hash_ours_and_others() -> None:
    frame = json.dumps(
        {
            "owner": KEY,
            "trade_owner": KEY,
            "apiKey": KEY,
            "maker_orders": [{"owner": OTHER, "price": "0.5"}],
            "note": f"{KEY} {SECRET} {PASSPHRASE}",
        }
    )
    clean = redact(frame, CREDENTIALS)
    assert not any(secret in clean for secret in (KEY, OTHER, SECRET, PASSPHRASE))
    found = json.loads(clean)
    assert found["owner"] == found["trade_owner"] == owner_hash(KEY)
    assert found["maker_orders"] == [{"owner": owner_hash(OTHER), "price": "0.5"}]
    assert len(owner_hash(KEY)) == 8


def test_an_unreadable_frame_goes_to_quarantine_without_its_secrets() -> None:
    fills = OwnFills(account=Account("main"), wallet="0x", api_key=KEY)
    session = UserSession(credentials=CREDENTIALS, fills=fills, silence_ms=1_000)
    raw = json.dumps({"event_type": "trade", "owner": KEY, "passphrase": PASSPHRASE}).encode()
    effects = session.receive(raw, 1)
    assert effects
    assert not any(secret in repr(effects) for secret in (KEY, SECRET, PASSPHRASE))
