// The official OpenAI client for Node, unchanged, against a running rag-server.
//
// Reads RAG_URL and RAG_KEY; the server holds one document about backups. RAG_CLIENTS is the folder with the client.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(process.env.RAG_CLIENTS + "/package.json");
const { OpenAI, BadRequestError, NotFoundError, AuthenticationError } = require("openai");

const client = new OpenAI({ baseURL: process.env.RAG_URL + "/v1", apiKey: process.env.RAG_KEY, maxRetries: 0 });
const question = "How long are daily snapshots kept?";
const messages = [{ role: "user", content: question }];

const names = [];
for await (const model of client.models.list()) names.push(model.id);
assert.equal(names.length, 2);
assert.ok(names.includes("rag"));
const embedder = names.find((name) => name !== "rag");

const cosine = (a, b) => a.reduce((sum, value, at) => sum + value * b[at], 0);
const input = ["how long are backups kept?", "Backups are kept for 30 days.", "Bananas are rich in potassium."];
const { data } = await client.embeddings.create({ model: embedder, input });
const floats = await client.embeddings.create({ model: embedder, input, encoding_format: "float" });
const vectors = data.map((item) => item.embedding);
for (const [at, vector] of vectors.entries()) {
  assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-4);
  assert.ok(cosine(vector, floats.data[at].embedding) > 0.999);
}
assert.ok(cosine(vectors[0], vectors[1]) > cosine(vectors[0], vectors[2]) + 0.3);

const completion = await client.chat.completions.create({ model: "rag", messages });
const { message, finish_reason } = completion.choices[0];
assert.match(message.content, /Daily snapshots are kept for 7 days\./);
assert.equal(finish_reason, "stop");
assert.equal(message.ragops.status, "grounded");
assert.equal(message.ragops.citations[0].document, "ops/backup.md");

let text = "";
let usage;
let extension;
const stream = await client.chat.completions.create({
  model: "rag",
  messages,
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  usage = chunk.usage ?? usage;
  text += chunk.choices[0]?.delta?.content ?? "";
  extension = chunk.choices[0]?.delta?.ragops ?? extension;
}
assert.equal(text, message.content);
assert.ok(usage.total_tokens > 0);
assert.equal(extension.status, "grounded");
const collected = await client.chat.completions.stream({ model: "rag", messages }).finalContent();
assert.equal(collected, message.content);

const refused = async (call, kind, param) =>
  assert.rejects(call, (error) => error instanceof kind && error.param === param && Boolean(error.code));
const tools = [{ type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } }];
await refused(client.chat.completions.create({ model: "rag", messages, tools }), BadRequestError, "tools");
await refused(client.chat.completions.create({ model: "gpt-4o", messages }), NotFoundError, "model");
await refused(client.embeddings.create({ model: embedder, input: "" }), BadRequestError, "input");
await refused(client.withOptions({ apiKey: "wrong-key-0123456789" }).models.list(), AuthenticationError, null);

// Rerank has no method of its own in this client: any HTTP client will do.
const response = await fetch(process.env.RAG_URL + "/v1/rerank", {
  method: "POST",
  headers: { "content-type": "application/json", authorization: "Bearer " + process.env.RAG_KEY },
  body: JSON.stringify({ model: embedder, query: input[0], documents: [input[2], input[1]], top_n: 1 }),
});
const { results } = await response.json();
assert.deepEqual([response.status, results.length, results[0].index], [200, 1, 1]);
const { dependencies } = JSON.parse(readFileSync(process.env.RAG_CLIENTS + "/package.json", "utf8"));
console.log("openai for node " + dependencies.openai + ": fine");
