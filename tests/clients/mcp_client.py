"""The official MCP client for Python, unchanged, against a running rag-server.

Reads RAG_URL, RAG_KEY (a writer's) and RAG_READER_KEY; the server holds one document about backups.
"""

import asyncio
import importlib.metadata
import os

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

URL = os.environ["RAG_URL"] + "/mcp"
READS = ["search", "ask", "list_documents", "fetch_document"]


async def connected(key, mode, work):
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=120) as http:
        async with Client(streamable_http_client(URL, http_client=http), mode=mode) as client:
            await work(client)


async def call(client, tool, **arguments):
    result = await client.call_tool(tool, arguments)
    return result.is_error, "".join(block.text for block in result.content), result.structured_content


async def write(client):
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert list(tools) == [*READS, "ingest"], tools
    assert all(tool.input_schema["type"] == "object" and tool.description for tool in tools.values())
    assert tools["search"].annotations.read_only_hint and not tools["ingest"].annotations.read_only_hint

    failed, text, answer = await call(client, "ask", query="How long are daily snapshots kept?")
    assert not failed and "Daily snapshots are kept for 7 days." in text and "ops/backup.md" in text, text
    assert answer["status"] == "grounded", answer
    failed, text, answer = await call(client, "ask", query="Who won the football cup in 1954?")
    assert not failed and answer["status"] == "refused", answer

    failed, _, found = await call(client, "search", query="How long are daily snapshots kept?", top_k=3)
    assert not failed and found["passages"][0]["document"] == "ops/backup.md", found

    failed, text, job = await call(client, "ingest", documents=[{"id": "zoo.md", "text": "Lions sleep all day."}])
    assert not failed and job["documents"] == 1, text
    async with asyncio.timeout(60):
        listed = []
        while listed != ["ops/backup.md", "zoo.md"]:
            _, _, page = await call(client, "list_documents")
            listed = [document["id"] for document in page["documents"]]
    failed, _, page = await call(client, "list_documents", limit=1)
    assert not failed and page["next"] == "ops/backup.md", page
    failed, _, document = await call(client, "fetch_document", id="ops/backup.md")
    assert not failed and document["id"] == "ops/backup.md" and document["passages"][0]["text"], document

    for tool, arguments, said in [
        ("fetch_document", {"id": "nothing.md"}, "no document has this id"),
        ("ask", {"query": " "}, "the question is empty"),
        ("ask", {}, "query"),
        ("search", {"query": "a", "nonsense": 1}, "nonsense"),
    ]:
        failed, text, _ = await call(client, tool, **arguments)
        assert failed and said in text, (tool, text)


async def read(client):
    assert [tool.name for tool in (await client.list_tools()).tools] == READS
    failed, text, _ = await call(client, "ask", query="How long are daily snapshots kept?")
    assert not failed, text
    failed, text, _ = await call(client, "ingest", documents=[{"id": "a.md", "text": "a"}])
    assert failed and "Writer" in text, text


async def stranger():
    try:
        await connected("wrong-key-0123456789", "auto", read)
    except BaseException:
        return
    raise AssertionError("a wrong key was let in")


async def main():
    # The newest protocol, which has no sessions, and the handshake of the older ones.
    await connected(os.environ["RAG_KEY"], "auto", write)
    await connected(os.environ["RAG_READER_KEY"], "legacy", read)
    await connected(os.environ["RAG_READER_KEY"], "auto", read)
    await stranger()


asyncio.run(main())
print(f"mcp {importlib.metadata.version('mcp')}: fine")
