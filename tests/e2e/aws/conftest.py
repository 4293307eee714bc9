"""One emulator and one deployment for the session; what is deployed is removed by its own test."""

import os
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.aws.deployment import Deployment, deploy
from tests.e2e.aws.emulator import Emulator, running
from tests.e2e.aws.images import Images, store_images
from tests.servers import Client


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """AWS, as far as this machine is concerned, for this process's clients too."""
    with running(tmp_path_factory.mktemp("aws")) as emulator, pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("AWS_", "TRAWL_")):
                patch.delenv(name)
        for name, value in emulator.environment.items():
            patch.setenv(name, value)
        yield emulator


@pytest.fixture(scope="session")
def deployment(emulator: Emulator) -> Deployment:
    """Trawl, deployed with its defaults and the extra of logos."""
    return deploy(emulator)


@pytest.fixture(scope="session")
def admin(deployment: Deployment) -> Iterator[Client]:
    """A client with the key that the deploy printed, through API Gateway."""
    with httpx.Client(base_url=deployment.base_url, timeout=60) as http:
        yield Client(http, deployment.key)


@pytest.fixture(scope="session")
def images(deployment: Deployment, admin: Client) -> Images:
    """Pictures in the assets bucket, and a retriever of copies."""
    return store_images(deployment, admin)
