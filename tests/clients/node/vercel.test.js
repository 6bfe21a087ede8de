// Vercel's AI SDK, with its provider for servers that speak OpenAI's API and with its own for OpenAI.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embedMany, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import { baseURL, countCancelled, key, model as name, pixel, text, waitCancelled } from "./surroundings.js";

const compatible = (apiKey = key) =>
  createOpenAICompatible({ name: "sluice", baseURL, apiKey, includeUsage: true, supportsStructuredOutputs: true });
const models = {
  "@ai-sdk/openai-compatible": compatible().chatModel(name),
  "@ai-sdk/openai": createOpenAI({ baseURL, apiKey: key }).chat(name),
};
const City = z.object({ name: z.string(), inhabitants: z.number().int() });
const weather = tool({
  description: "The weather in a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `rain in ${city}`,
});

for (const [provider, model] of Object.entries(models)) {
  test(`${provider}: a prompt is answered with its usage`, async () => {
    const answer = await generateText({ model, prompt: "When does water boil?" });
    assert.equal(answer.text, text);
    assert.equal(answer.usage.totalTokens, 18);
  });

  test(`${provider}: a stream joins to the answer with its usage`, async () => {
    const answer = streamText({ model, prompt: "In pieces: when does water boil?" });
    const pieces = [];
    for await (const piece of answer.textStream) pieces.push(piece);
    assert.ok(pieces.length > 1);
    assert.equal(pieces.join(""), text);
    assert.equal((await answer.usage).totalTokens, 18);
  });

  test(`${provider}: tools are called and their results answered, whole and as a stream`, async () => {
    const prompt = 'How is the weather? {"city": "Oslo"} and {"city": "Bergen"}';
    const options = { model, prompt, tools: { weather }, stopWhen: stepCountIs(3) };
    const answer = await generateText(options);
    assert.equal(answer.text, "The tool says: rain in Bergen");
    assert.deepEqual(
      answer.steps[0].toolResults.map((result) => result.output),
      ["rain in Oslo", "rain in Bergen"],
    );
    const stream = streamText(options);
    assert.equal(await stream.text, "The tool says: rain in Bergen");
  });

  test(`${provider}: structured output is parsed`, async () => {
    const prompt = "'Oslo' has 700000 inhabitants.";
    const answer = await generateText({ model, prompt, output: Output.object({ schema: City }) });
    assert.deepEqual(answer.output, { name: "Oslo", inhabitants: 700000 });
  });

  test(`${provider}: an image reaches the model`, async () => {
    const content = [
      { type: "text", text: "What is this?" },
      { type: "file", data: Buffer.from(pixel, "base64"), mediaType: "image/png" },
    ];
    const answer = await generateText({ model, messages: [{ role: "user", content }] });
    assert.equal(answer.text, "I see 1 image.");
  });

  test(`${provider}: a time-out and a stream that is left end the call upstream`, async () => {
    const before = await countCancelled();
    const impatient = { model, prompt: "say nothing", abortSignal: AbortSignal.timeout(500), maxRetries: 0 };
    await assert.rejects(generateText(impatient));
    await waitCancelled(before);
    const leaving = new AbortController();
    const stream = streamText({ model, prompt: "stall", abortSignal: leaving.signal });
    for await (const _ of stream.textStream) {
      leaving.abort();
      break;
    }
    await waitCancelled(before + 1);
  });

  test(`${provider}: an error in mid-stream reaches the caller`, async () => {
    let seen;
    const stream = streamText({ model, prompt: "break off", onError: ({ error }) => (seen = error) });
    await stream.consumeStream();
    assert.ok(seen);
  });
}

test("each failure has its status and can be read", async () => {
  const provider = compatible();
  const failures = [
    [400, { model: provider.chatModel(name), providerOptions: { sluice: { sensitivty: "public" } } }],
    [401, { model: compatible("wrong").chatModel(name) }],
    [404, { model: provider.chatModel("no/such-model") }],
    [429, { model: provider.chatModel(name), prompt: "fail with 429" }],
    [502, { model: provider.chatModel(name), prompt: "fail with 500" }],
  ];
  for (const [status, options] of failures) {
    await assert.rejects(generateText({ prompt: "Hi", maxRetries: 0, ...options }), (error) => {
      assert.ok(APICallError.isInstance(error));
      assert.equal(error.statusCode, status);
      assert.ok(error.message.length > 0);
      return true;
    });
  }
});

test("texts are embedded", async () => {
  const { embeddings } = await embedMany({ model: compatible().embeddingModel("auto"), values: ["one", "two"] });
  assert.equal(embeddings.length, 2);
  assert.ok(embeddings[0].length > 100);
});
