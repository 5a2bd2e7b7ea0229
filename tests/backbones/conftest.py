"""A tiny convolutional net and a tiny transformer of timm, their weights in files."""

import pytest
from small_models import SmallModel, timm_model


@pytest.fixture(scope="session")
def convnet(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    """A convolutional net with batch norms: 96 features of 160 x 160 pixels."""
    return timm_model(tmp_path_factory.mktemp("convnet"))


@pytest.fixture(scope="session")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    """A vision transformer: 64 features of 160 x 160 pixels."""
    return timm_model(tmp_path_factory.mktemp("transformer"), "test_vit.r160_in1k")
