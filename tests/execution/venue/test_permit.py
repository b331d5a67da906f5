"""Live trading needs three separate yeses and loopback; each missing one is named."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from connectors.execution.__main__ import main
from connectors.execution.permit import (
    NotPermitted,
    check_loopback,
    check_permission,
    read_credentials,
    read_private,
)
from schemas.wiring import AccountWiring, ExecutionWiring, VenueWiring, Wiring


@pytest.fixture
def allowed(secrets: Any, venue_at: Any, tmp_path: Path) -> Wiring:
    """Wiring under which live may start."""
    key, creds = secrets.write(tmp_path)
    return Wiring(
        venue=venue_at("http://127.0.0.1:1"),
        account=AccountWiring(wallet=secrets.wallet),
        execution=ExecutionWiring(backend="live", key_file=str(key), credentials_file=str(creds)),
    )


def execution(wiring: Wiring, **given: Any) -> Wiring:
    return replace(wiring, execution=replace(wiring.execution, **given))


def test_with_setting_flag_and_key_file_it_may_trade_live(allowed: Wiring) -> None:
    assert check_permission(allowed, live=True) is True


def test_paper_needs_nothing() -> None:
    assert check_permission(Wiring(), live=False) is False


def test_each_missing_yes_is_named(allowed: Wiring) -> None:
    cases = [
        (allowed, False, "--live was not given"),
        (execution(allowed, backend="paper"), True, 'execution.backend is "paper"'),
        (execution(allowed, backend="real"), True, "'real'"),
        (execution(allowed, key_file=""), True, r"execution\.key_file"),
        (execution(allowed, credentials_file=""), True, r"execution\.credentials_file"),
        (replace(allowed, account=AccountWiring()), True, r"account\.wallet"),
    ]
    for wiring, live, said in cases:
        with pytest.raises(NotPermitted, match=said):
            check_permission(wiring, live=live)


@pytest.mark.parametrize("field", VenueWiring().__struct_fields__)
def test_any_address_that_is_not_loopback_shuts_live_trading(field: str, allowed: Wiring) -> None:
    real = getattr(VenueWiring(), field)
    venue = replace(allowed.venue, **{field: real})
    with pytest.raises(NotPermitted, match=rf"venue\.{field}"):
        check_permission(replace(allowed, venue=venue), live=True)
    for fake in ("http://127.0.0.1.evil.example:80", "http://localhost@evil.example"):
        with pytest.raises(NotPermitted):
            check_loopback(replace(allowed.venue, **{field: fake}))


def test_a_key_file_that_others_can_read_is_refused(allowed: Wiring) -> None:
    path = Path(allowed.execution.key_file)
    for mode in (0o640, 0o604, 0o660, 0o644):
        path.chmod(mode)
        with pytest.raises(NotPermitted, match="chmod 600"):
            read_private(str(path), "key file")
    with pytest.raises(NotPermitted, match="No such file"):
        read_private(str(path) + "-gone", "key file")
    with pytest.raises(NotPermitted, match="no regular file"):
        read_private(str(path.parent), "key file")


def test_credentials_are_read_from_their_file_and_a_bad_one_is_not_quoted(
    allowed: Wiring, secrets: Any
) -> None:
    path = Path(allowed.execution.credentials_file)
    assert read_credentials(str(path)) == secrets.credentials
    path.write_text('{"apiKey": "' + secrets.api_key + '"}')
    with pytest.raises(NotPermitted) as refused:
        read_credentials(str(path))
    assert secrets.leaked(str(refused.value)) == []
    assert refused.value.__context__ is None


def test_the_program_says_what_is_missing_and_ends_with_its_own_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "truecopy.toml"
    config.write_text('[execution]\nbackend = "live"\n')
    assert main(["--config", str(config)]) == 2
    assert "--live was not given" in capsys.readouterr().err
    config.write_text("[execution]\nbakend = 1\n")
    assert main(["--config", str(config)]) == 2
    assert "did you mean backend" in capsys.readouterr().err
