from tests.adapters.envoy.conftest import home

__all__ = ["home"]
