"""What docker-compose.yml promises, read from it: secrets, hardening, ports, images, volumes."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.settings import load
from tests.deploy.compose import ONCE, PROCESSES, ROOT, read, words

OURS = (*ONCE, *PROCESSES)
EXACT_TAG = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+(-[\w.-]+)?$")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file with nothing set: what `docker compose up` does."""
    return read({})


def test_the_file_is_valid_by_the_compose_specification() -> None:
    """check-jsonschema carries the specification's own schema, so no network is needed."""
    command = [str(Path(sys.executable).with_name("check-jsonschema"))]
    command += ["--builtin-schema", "vendor.compose-spec", str(ROOT / "docker-compose.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_secret_is_mounted_where_it_is_needed_and_nowhere_else(
    compose: dict[str, Any],
) -> None:
    """The signing key in execution alone; API credentials there and in the account connector."""
    who: dict[str, set[str]] = {name: set() for name in compose["secrets"]}
    for service, content in compose["services"].items():
        for secret in content.get("secrets", []):
            who[secret].add(service)
    assert who == {
        "signing_key": {"execution"},
        "api_credentials": {"execution", "connectors-account"},
    }


def test_no_other_mount_or_variable_hands_a_secret_to_a_service(compose: dict[str, Any]) -> None:
    files = {content["file"] for content in compose["secrets"].values()}
    for name, service in compose["services"].items():
        sources = {v["source"] if isinstance(v, dict) else v for v in service.get("volumes", [])}
        assert not sources & files, f"{name} mounts a secret as a volume"
        allowed = set(service.get("secrets", []))
        for key, value in service.get("environment", {}).items():
            if value.startswith("/run/secrets/"):
                assert value.removeprefix("/run/secrets/") in allowed, f"{name}: {key}"


def test_without_a_secret_a_file_stands_in_its_place_that_live_refuses(
    compose: dict[str, Any],
) -> None:
    for content in compose["secrets"].values():
        assert content["file"] == "./infra/deploy/no-secret"
        assert (ROOT / content["file"]).stat().st_size < 200
        assert not re.search("[0-9a-fA-F]{16}", (ROOT / content["file"]).read_text())


def test_paper_is_what_nothing_set_starts_and_live_takes_the_flag(compose: dict[str, Any]) -> None:
    assert words(compose["services"]["execution"]["command"]) == ["execution"]
    assert compose["services"]["connectors-account"]["profiles"] == ["live"]
    live = dict(
        line.split("=", 1)
        for line in (ROOT / "infra" / "deploy" / "live.env").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert live["COMPOSE_PROFILES"] == "live"
    assert words(read(live)["services"]["execution"]["command"]) == ["execution", "--live"]
    files = {content["file"] for content in read(live)["secrets"].values()}
    assert files == {live["TRUECOPY_KEY_FILE"], live["TRUECOPY_CREDENTIALS_FILE"]}


@pytest.mark.parametrize("name", OURS)
def test_our_containers_can_change_nothing_but_their_volumes(
    compose: dict[str, Any], name: str
) -> None:
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["user"] == "10001:10001"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "ports" not in service


def test_each_written_volume_has_one_writer(compose: dict[str, Any]) -> None:
    """Two flows on one recovery directory once left it unusable."""
    writers: dict[str, list[str]] = {name: [] for name in compose["volumes"]}
    for service, content in compose["services"].items():
        for volume in content.get("volumes", []):
            if isinstance(volume, dict):
                assert volume["read_only"] is True, f"{service} may write to the host"
            elif not volume.endswith(":ro"):
                writers[volume.split(":")[0]].append(service)
    assert writers == {
        "kafka": ["kafka"],
        "recovery": ["flow"],
        "archive": ["export"],
        "prometheus": ["prometheus"],
        "grafana": ["grafana"],
    }


def test_every_port_is_published_on_loopback_only(compose: dict[str, Any]) -> None:
    ports = [port for s in compose["services"].values() for port in s.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports), ports


def test_every_image_has_an_exact_tag(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert EXACT_TAG.fullmatch(service["image"]), f"{name}: {service['image']}"


def test_optional_tools_stand_under_their_profiles(compose: dict[str, Any]) -> None:
    profiles = {
        name: service["profiles"]
        for name, service in compose["services"].items()
        if "profiles" in service
    }
    assert profiles == {
        "connectors-account": ["live"],
        "kafka-ui": ["ui"],
        "prometheus": ["metrics"],
        "grafana": ["metrics"],
    }


def test_topics_and_policy_stand_before_any_process_starts(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    done = {"condition": "service_completed_successfully"}
    assert services["policy"]["depends_on"] == {"topics": done}
    assert services["topics"]["command"][:2] == ["topics", "apply"]
    assert services["policy"]["command"] == ["policy", "apply"]
    for name in PROCESSES:
        assert services[name]["depends_on"] == {"policy": done}


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_is_restarted_under_the_hold_and_checked_on_its_own_port(
    compose: dict[str, Any], name: str
) -> None:
    service = compose["services"][name]
    assert service["restart"] == "unless-stopped"
    assert service["entrypoint"] == ["python", "-m", "infra.deploy.hold", "truecopy"]
    ports = [v for k, v in service["environment"].items() if k.startswith("TRUECOPY__HEALTH__")]
    ports.remove("0.0.0.0")
    assert len(ports) == 1
    assert f"http://127.0.0.1:{ports[0]}/healthz" in service["healthcheck"]["test"][-1]


@pytest.mark.parametrize("name", OURS)
def test_every_variable_of_a_service_is_a_setting(compose: dict[str, Any], name: str) -> None:
    """An unknown key would stop the process at its start."""
    environment = compose["services"][name]["environment"]
    wiring = load(None, environment).wiring
    assert wiring.kafka.bootstrap == "kafka:19092"
    assert wiring.health.host == "0.0.0.0"


def test_each_health_port_is_scraped_and_belongs_to_one_service(compose: dict[str, Any]) -> None:
    """prometheus.yml finds the processes by service name and port."""
    scraped = (ROOT / "infra" / "deploy" / "prometheus.yml").read_text()
    found = dict(re.findall(r"names: \[([\w-]+)\], type: A, port: (\d+)", scraped))
    set_by = {}
    for name in PROCESSES:
        for key, value in compose["services"][name]["environment"].items():
            if key.endswith("_PORT"):
                set_by[name] = value
    assert found == set_by
    assert len(set(set_by.values())) == len(PROCESSES)


def test_every_file_that_is_mounted_from_the_project_is_there(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            if isinstance(volume, str) and volume.startswith("./"):
                assert (ROOT / volume.split(":")[0]).exists(), volume
