"""The page's tools as an AI assistant calls them, through a client of the Model Context Protocol."""

import asyncio
import base64
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from app_server import running, tiny_models
from conftest import EXAMPLES, ROOT
from gradio_client import Client, handle_file
from PIL import Image

import app
from esrgan.evaluation.study import bicubic, measure, read_truth
from esrgan.images.resize import shrink
from esrgan.page.models import Model

mcp = pytest.importorskip("mcp", reason="mcp is not installed; pip install 'gradio[mcp]'")
streamable = pytest.importorskip("mcp.client.streamable_http")

META = {"_type": "gradio.FileData"}


def test_an_assistant_compares_and_upscales_a_photo_it_sends(tmp_path: Path) -> None:
    photo = tmp_path / "cat.png"
    Image.open(EXAMPLES / "cat_chelsea.png").crop((150, 80, 230, 144)).save(photo)
    sent = f"data:image/png;base64,{base64.b64encode(photo.read_bytes()).decode()}"
    outside = tmp_path / "private.png"
    outside.write_bytes(photo.read_bytes())
    sources = tiny_models(tmp_path)

    async def progressed(done: float, total: float | None, message: str | None) -> None:
        pass

    async def talk(url: str) -> tuple[list, ...]:
        async with (
            streamable.streamablehttp_client(f"{url}/gradio_api/mcp/") as (read, write, _),
            mcp.ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            compared = await session.call_tool("compare", {"photo": sent}, progress_callback=progressed)
            upscaled = await session.call_tool("upscale", {"photo": sent, "detail": 1})
            refused = await session.call_tool("compare", {"photo": sent, "detail": 2})
            for path in (str(outside), {"path": str(outside)}, {"path": str(outside), "meta": META}):
                assert (await session.call_tool("compare", {"photo": path})).isError
        assert not compared.isError
        assert not upscaled.isError
        assert refused.isError
        return tools, compared.content, upscaled.content, refused.content

    options = [f"--{name}={path}" for name, path in sources.items()]
    with running(ROOT / "app.py", tmp_path, {**os.environ, "GRADIO_MCP_SERVER": "1"}, *options) as url:
        tools, compared, upscaled, refused = asyncio.run(talk(url))
        client = Client(url, verbose=False, download_files=False)
        assert "Dogs minus mixed over 1 photo" in client.predict([handle_file(photo)], api_name="/batch")[0]

    served = [path.relative_to(tmp_path / "served") for path in (tmp_path / "served").rglob("*") if path.is_file()]
    assert len({path.parts[0] for path in served}) == 1  # what was sent is in the folder that is cleaned
    assert "private.png" not in [path.name for path in served]

    assert [tool.name for tool in tools] == ["compare", "upscale"]
    for tool, further in zip(
        tools, (("degradation",), ("part", "condition", "halve", "models", "save_as")), strict=True
    ):
        assert tool.inputSchema["required"] == ["photo"]
        assert tool.inputSchema["properties"].keys() == {"photo", "detail", *further}
        assert "data URL" in tool.inputSchema["properties"]["photo"]["description"]
        assert "exact pixels" in tool.inputSchema["properties"]["detail"]["description"]

    truth = read_truth(photo)
    methods = {"bicubic": bicubic, **{name: Model(path).at(app.DETAIL) for name, path in sources.items()}}
    figures = json.loads(compared[0].text)
    for way, method in methods.items():
        assert figures[way] == pytest.approx(measure(method, truth), abs=1e-6)
    images = [Image.open(io.BytesIO(base64.b64decode(item.data))) for item in compared if item.type == "image"]
    pictures = [truth, *(method(shrink(truth, 4)) for method in methods.values())]
    for image, picture in zip(images[:-1], pictures, strict=True):
        assert np.array_equal(np.asarray(image), np.asarray(picture))
    assert compared[-1].text.startswith("## ")

    assert json.loads(upscaled[0].text)["mixed_against_dogs"]
    assert [item.type for item in upscaled if item.type == "image"] == ["image"] * 3
    assert any(f"{url}/gradio_api/file=" in item.text for item in upscaled if item.type == "text")
    assert upscaled[-1].text.startswith("## The two results")
    assert refused[0].text == "Detail 2: must be a number from 0 to 1."
