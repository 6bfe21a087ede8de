"""A gateway between a cloud upstream and a local one, as the tests of the gateway have it."""

from tests.gateway.conftest import gateway

__all__ = ["gateway"]
