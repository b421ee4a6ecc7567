"""A network that is solved in a second, for commands whose answer matters less than how they give it."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from spatem_opt.network.builder import Builder
from spatem_opt.network.json_io import to_json


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """File of the network `small`: convolutions 3x3 of 3 x 8 x 8 to 8 x 6 x 6 and 16 x 4 x 4, and 10 outputs."""
    b = Builder("small")
    b.fc(b.conv(b.conv(b.input(3, 8, 8), 8, 3, name="conv1"), 16, 3, name="conv2"), 10, name="fc")
    path: Path = tmp_path_factory.mktemp("network") / "small.json"
    path.write_bytes(orjson.dumps(to_json(b.build()), option=orjson.OPT_SERIALIZE_NUMPY))
    return str(path)
