"""The default collection and its model."""

import pytest

from app.bootstrap import open_serving
from app.domain.errors import UnknownModel
from app.settings import Settings

pytestmark = pytest.mark.anyio


async def test_an_unknown_default_model_is_refused_also_after_the_first_start(tmp_path):
    settings = Settings(data_dir=tmp_path, decode_children=1)
    async with open_serving(settings):
        pass

    with pytest.raises(UnknownModel, match="lite9"):
        async with open_serving(settings.replace(default_model="lite9")):
            pass
