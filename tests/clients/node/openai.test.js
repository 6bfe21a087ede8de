// OpenAI's official client for Node, with nothing changed but its base URL.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

import { baseURL, countCancelled, key, model, pixel, text, waitCancelled } from "./surroundings.js";

const client = new OpenAI({ baseURL, apiKey: key, maxRetries: 0 });
const ask = (content) => [{ role: "user", content }];
const City = z.object({ name: z.string(), inhabitants: z.number().int() });
const weather = {
  type: "function",
  function: {
    name: "weather",
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
      additionalProperties: false,
    },
  },
};

test("an answer has its text, its model and its usage", async () => {
  const completion = await client.chat.completions.create({ model: "auto", messages: ask("When does water boil?") });
  assert.equal(completion.choices[0].message.content, text);
  assert.match(completion.model, /^openai\/gpt-4o/);
  assert.equal(completion.usage.total_tokens, 18);
});

test("a stream joins to the answer and ends with its usage", async () => {
  const stream = await client.chat.completions.create({
    model,
    messages: ask("In pieces: when does water boil?"),
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  const last = chunks.pop();
  assert.equal(chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""), text);
  assert.ok(chunks.length > 2);
  assert.deepEqual(last.choices, []);
  assert.equal(last.usage.total_tokens, 18);
});

test("tools are run by the client's own runner", async () => {
  const asked = [];
  const run = ({ city }) => {
    asked.push(city);
    return `rain in ${city}`;
  };
  const runner = client.chat.completions.runTools({
    model,
    messages: ask('How is the weather? {"city": "Oslo"} and {"city": "Bergen"}'),
    tools: [{ type: "function", function: { ...weather.function, parse: JSON.parse, function: run } }],
  });
  assert.equal(await runner.finalContent(), "The tool says: rain in Bergen");
  assert.deepEqual(asked, ["Oslo", "Bergen"]);
});

test("parallel tool calls stream in pieces", async () => {
  const messages = ask('How is the weather now? {"city": "Oslo"} and {"city": "Bergen"}');
  const stream = client.chat.completions.stream({ model, messages, tools: [weather] });
  let pieces = 0;
  stream.on("tool_calls.function.arguments.delta", () => (pieces += 1));
  const completion = await stream.finalChatCompletion();
  const calls = completion.choices[0].message.tool_calls;
  assert.deepEqual(
    calls.map((call) => JSON.parse(call.function.arguments).city),
    ["Oslo", "Bergen"],
  );
  assert.ok(pieces > calls.length);
});

test("structured output is parsed", async () => {
  const completion = await client.chat.completions.parse({
    model,
    messages: ask("'Oslo' has 700000 inhabitants."),
    response_format: zodResponseFormat(City, "city"),
  });
  assert.deepEqual(completion.choices[0].message.parsed, { name: "Oslo", inhabitants: 700000 });
});

test("an image reaches the model", async () => {
  const image = { type: "image_url", image_url: { url: `data:image/png;base64,${pixel}` } };
  const messages = ask([{ type: "text", text: "What is this?" }, image]);
  const completion = await client.chat.completions.create({ model, messages });
  assert.equal(completion.choices[0].message.content, "I see 1 image.");
});

test("each failure has its type", async () => {
  const failures = [
    [OpenAI.BadRequestError, { messages: ask("Hi"), sensitivty: "public" }],
    [OpenAI.NotFoundError, { messages: ask("Hi"), model: "no/such-model" }],
    [OpenAI.RateLimitError, { messages: ask("fail with 429") }],
    [OpenAI.InternalServerError, { messages: ask("fail with 500") }],
  ];
  for (const [kind, fields] of failures) {
    for (const stream of [false, true]) {
      const call = client.chat.completions.create({ model, stream, ...fields });
      await assert.rejects(call, (error) => error instanceof kind && error.requestID !== undefined);
    }
  }
  const stranger = client.withOptions({ apiKey: "wrong" });
  await assert.rejects(
    stranger.chat.completions.create({ model, messages: ask("Hi") }),
    (error) => error instanceof OpenAI.AuthenticationError && error.code === "invalid_api_key",
  );
});

test("an error in mid-stream is raised", async () => {
  const stream = await client.chat.completions.create({ model, messages: ask("break off"), stream: true });
  await assert.rejects(async () => {
    for await (const _ of stream);
  }, OpenAI.APIError);
});

test("a time-out of the client ends the call upstream", async () => {
  const before = await countCancelled();
  const call = client.chat.completions.create({ model, messages: ask("say nothing") }, { timeout: 500 });
  await assert.rejects(call, OpenAI.APIConnectionTimeoutError);
  await waitCancelled(before);
});

test("a stream that is left ends the call upstream", async () => {
  const before = await countCancelled();
  const stream = await client.chat.completions.create({ model, messages: ask("stall"), stream: true });
  for await (const _ of stream) break;
  await waitCancelled(before);
});

test("models are listed and read by names with slashes", async () => {
  const names = [];
  for await (const listed of client.models.list()) names.push(listed.id);
  assert.deepEqual(names.slice(0, 3), ["auto", "documents", "local"]);
  assert.equal((await client.models.retrieve(model)).id, model);
});

test("embeddings are the same as floats and in the client's own encoding", async () => {
  const input = ["one", "two"];
  const encoded = await client.embeddings.create({ model: "auto", input });
  const floats = await client.embeddings.create({ model: "auto", input, encoding_format: "float" });
  assert.equal(encoded.data[1].embedding.length, floats.data[1].embedding.length);
  encoded.data[1].embedding.forEach((number, place) => {
    assert.ok(Math.abs(number - floats.data[1].embedding[place]) < 1e-6);
  });
});
