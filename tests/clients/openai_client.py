"""The official OpenAI client for Python, unchanged, against a running rag-server.

Reads RAG_URL and RAG_KEY; the server holds one document about backups.
"""

import math
import os

import openai

QUESTION = "How long are daily snapshots kept?"
ANSWER = "Daily snapshots are kept for 7 days."
UNKNOWN = "Who won the football cup in 1954?"

client = openai.OpenAI(base_url=os.environ["RAG_URL"] + "/v1", api_key=os.environ["RAG_KEY"], max_retries=0)


def messages(question):
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]


def models():
    names = {model.id for model in client.models.list()}
    assert "rag" in names and len(names) == 2, names
    for name in names:
        assert client.models.retrieve(name).id == name
    return (names - {"rag"}).pop()


def embeddings(model):
    # Without encoding_format the client asks for base64 and decodes it.
    texts = ["how long are backups kept?", "Backups are kept for 30 days.", "Bananas are rich in potassium."]
    packed = client.embeddings.create(model=model, input=texts)
    plain = client.embeddings.create(model=model, input=texts, encoding_format="float")
    vectors = [item.embedding for item in packed.data]
    assert [item.index for item in packed.data] == [0, 1, 2] and packed.usage.total_tokens > 0
    for vector, other in zip(vectors, plain.data):
        assert abs(math.hypot(*vector) - 1) < 1e-4, math.hypot(*vector)
        assert cosine(vector, other.embedding) > 0.999
    assert cosine(vectors[0], vectors[1]) > cosine(vectors[0], vectors[2]) + 0.3
    one = client.embeddings.create(model=model, input=texts[0])
    assert cosine(one.data[0].embedding, vectors[0]) > 0.999


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b))


def chat():
    completion = client.chat.completions.create(model="rag", messages=messages(QUESTION), temperature=0)
    choice = completion.choices[0]
    assert ANSWER in choice.message.content and choice.finish_reason == "stop", completion
    assert choice.message.ragops["status"] == "grounded", choice.message
    assert choice.message.ragops["citations"][0]["document"] == "ops/backup.md", choice.message
    assert completion.usage.total_tokens > 0
    refused = client.chat.completions.create(model="rag", messages=messages(UNKNOWN)).choices[0].message
    assert refused.ragops["status"] == "refused" and refused.refusal is None, refused
    return choice.message.content


def stream(whole):
    pieces, usage, extension, finish = [], None, None, None
    options = {"include_usage": True}
    for chunk in client.chat.completions.create(
        model="rag", messages=messages(QUESTION), stream=True, stream_options=options
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            pieces.append(choice.delta.content or "")
            extension = getattr(choice.delta, "ragops", None) or extension
            finish = choice.finish_reason or finish
    assert "".join(pieces) == whole and any(pieces), pieces
    assert usage.total_tokens > 0 and finish == "stop"
    assert extension["status"] == "grounded" and extension["citations"], extension
    # The client's own way to collect a stream.
    with client.chat.completions.stream(model="rag", messages=messages(QUESTION)) as events:
        assert events.get_final_completion().choices[0].message.content == whole


def refusals(model):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    for error, param, call in [
        (openai.BadRequestError, "tools", lambda: chat_with(tools=[tool])),
        (openai.BadRequestError, "n", lambda: chat_with(n=2)),
        (openai.BadRequestError, "logprobs", lambda: chat_with(logprobs=True)),
        (openai.NotFoundError, "model", lambda: client.embeddings.create(model="text-embedding-3-small", input="a")),
        (openai.BadRequestError, "dimensions", lambda: client.embeddings.create(model=model, input="a", dimensions=2)),
        (openai.BadRequestError, "input", lambda: client.embeddings.create(model=model, input="word " * 1000)),
        (openai.AuthenticationError, None, lambda: client.with_options(api_key="wrong-key-0123456789").models.list()),
    ]:
        try:
            call()
        except error as refused:
            assert refused.param == param and refused.code and refused.message, refused
            assert refused.request_id, "the request's id is missing"
        else:
            raise AssertionError(f"{param} was not refused")


def chat_with(**extra):
    return client.chat.completions.create(model="rag", messages=messages(QUESTION), **extra)


embedder = models()
embeddings(embedder)
stream(chat())
refusals(embedder)
print(f"openai {openai.__version__}: fine")
