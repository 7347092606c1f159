"""What the operator is told by its Deployment is read once and whole, or refused whole."""

from __future__ import annotations

import pytest

from dbcustody.errors import InvalidSpecError
from dbcustody.plan.freeze import FreezeWindow
from dbcustody.settings import DEFAULT_PORT, LEASE_NAME, Settings, from_environ

LEAST = {"DBCUSTODY_IMAGE": "dbcustody:1"}


def test_the_image_is_enough() -> None:
    """Everything else has a default that works in a cluster of its own."""
    assert from_environ(LEAST) == Settings(image="dbcustody:1", namespace="default", identity="operator")


def test_everything_can_be_said() -> None:
    """Each variable is heard."""
    said = {
        "DBCUSTODY_IMAGE": " dbcustody:1 ",
        "POD_NAMESPACE": "ops",
        "POD_NAME": "operator-0",
        "POD_UID": "7e1f",
        "DBCUSTODY_NAMESPACES": "web, shop\n",
        "DBCUSTODY_HOST": "127.0.0.1",
        "DBCUSTODY_PORT": "0",
        "DBCUSTODY_LEASE_NAME": "other",
        "DBCUSTODY_STAMPED_APPROVALS": "true ",
        "DBCUSTODY_FREEZE_WINDOWS": '[{"schedule": "@daily", "durationSeconds": 600}]',
    }
    assert from_environ(said) == Settings(
        image="dbcustody:1",
        namespace="ops",
        identity="operator-0",
        pod_uid="7e1f",
        namespaces=("web", "shop"),
        host="127.0.0.1",
        port=0,
        lease_name="other",
        stamps_approvals=True,
        freeze_windows=(FreezeWindow(schedule="@daily", duration_seconds=600),),
    )


def test_empty_is_not_said() -> None:
    """A Deployment may carry empty variables."""
    names = ("POD_NAMESPACE", "POD_NAME", "DBCUSTODY_NAMESPACES", "DBCUSTODY_PORT", "DBCUSTODY_LEASE_NAME")
    settings = from_environ({**LEAST, **dict.fromkeys(names, " "), "HOSTNAME": "host-1"})
    assert (settings.namespace, settings.namespaces, settings.port) == ("default", (), DEFAULT_PORT)
    assert (settings.identity, settings.lease_name) == ("host-1", LEASE_NAME)
    assert not from_environ({**LEAST, "DBCUSTODY_STAMPED_APPROVALS": ""}).stamps_approvals


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        pytest.param({}, "DBCUSTODY_IMAGE: is missing", id="no image"),
        pytest.param({**LEAST, "DBCUSTODY_PORT": "http"}, "DBCUSTODY_PORT: must be a port", id="word for port"),
        pytest.param({**LEAST, "DBCUSTODY_PORT": "65536"}, "DBCUSTODY_PORT: must be a port", id="port too high"),
        pytest.param({**LEAST, "DBCUSTODY_PORT": "-1"}, "DBCUSTODY_PORT: must be a port", id="port below zero"),
        pytest.param({**LEAST, "DBCUSTODY_STAMPED_APPROVALS": "yes"}, "must be true or false", id="stamps"),
        pytest.param({**LEAST, "DBCUSTODY_FREEZE_WINDOWS": "[1]"}, "DBCUSTODY_FREEZE_WINDOWS[0]: is int", id="window"),
        pytest.param({**LEAST, "DBCUSTODY_NAMESPACES": "a,B"}, "'B': is no name of a namespace", id="namespace"),
        pytest.param({**LEAST, "POD_NAMESPACE": "a.b"}, "'a.b': is no name of a namespace", id="own namespace"),
    ],
)
def test_nonsense_is_refused(variables: dict[str, str], complaint: str) -> None:
    """The process ends at once and says why."""
    with pytest.raises(InvalidSpecError) as caught:
        from_environ(variables)
    assert complaint in caught.value.message


def test_all_problems_are_told_at_once() -> None:
    """Nobody has to start the operator three times to learn of three mistakes."""
    with pytest.raises(InvalidSpecError) as caught:
        from_environ({"DBCUSTODY_PORT": "x", "DBCUSTODY_NAMESPACES": "A"})
    assert len(caught.value.message.splitlines()) == 3
