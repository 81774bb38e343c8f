"""The endpoints as tools of the Model Context Protocol, called by its own client."""

import asyncio
import base64
import importlib.util
from concurrent.futures import ThreadPoolExecutor

import pytest

from spherecorr.cli import main
from spherecorr.ui.blocks import build_demo, launch

has_mcp = importlib.util.find_spec("mcp") is not None


@pytest.mark.skipif(has_mcp, reason="the package mcp is installed")
def test_without_its_package_a_sentence_says_which(capsys):
    assert main(["app", "--mcp"]) == 2
    assert 'run `pip install "spherecorr[mcp]"`' in capsys.readouterr().err


@pytest.fixture(scope="module")
def url(tiny_app):
    pytest.importorskip("mcp", reason='needs `pip install "spherecorr[mcp]"`')
    demo = build_demo(tiny_app)
    _, address, _ = launch(demo=demo, mcp=True, prevent_thread_lock=True)
    yield f"{address}gradio_api/mcp/"
    demo.close()


def talk(url: str, *calls: tuple[str, dict]) -> tuple[list[str], list[tuple[bool, str]]]:
    """Names of the tools, and of each call whether it failed and its text."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def session():
        async with streamablehttp_client(url) as (read, write, _), ClientSession(read, write) as client:
            await client.initialize()
            tools = (await client.list_tools()).tools
            answers = [await client.call_tool(name, arguments) for name, arguments in calls]
            return [tool.name for tool in tools], [(answer.isError, answer.content[0].text) for answer in answers]

    with ThreadPoolExecutor(1) as pool:  # what drives the browsers of other tests has an event loop in this thread
        return pool.submit(lambda: asyncio.run(session())).result()


def test_a_client_finds_the_four_tools_and_matches(url, tiny_app):
    content = (tiny_app.examples / "a.png").read_bytes()
    image = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    pair = {"source": image, "target": image}
    names, answers = talk(
        url,
        ("backbones", {}),
        ("match", {**pair, "points": [[140.5, 110.5]]}),
        ("match", {**pair, "points": [[9999, 1]]}),
        ("match", {**pair, "target": "http://127.0.0.1:9/a.png", "points": [[1, 1]]}),
    )
    assert sorted(names) == ["backbones", "match", "pca", "sphere_map"]
    (menu, matched, outside, elsewhere) = answers
    assert menu[0] is False and tiny_app.backbones[0] in menu[1]
    assert matched[0] is False and "'raw': [{'xy': [136.0, 104.0], 'score': 1.0}]" in matched[1]  # to its own cell
    assert outside[0] and "lies outside the image" in outside[1]
    assert elsewhere[0] and "Send images as uploaded files" in elsewhere[1]
