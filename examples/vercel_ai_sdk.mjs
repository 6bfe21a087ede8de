// Vercel's AI SDK against Sluice: a stream and a typed answer. Needs `npm install ai @ai-sdk/openai-compatible zod`.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, streamText } from "ai";
import { z } from "zod";

const sluice = createOpenAICompatible({
  name: "sluice",
  baseURL: (process.env.SLUICE_URL ?? "http://127.0.0.1:8000") + "/v1",
  apiKey: process.env.SLUICE_KEY ?? "unused",
  includeUsage: true,
  supportsStructuredOutputs: true,
});

console.log("== A stream");
const stream = streamText({ model: sluice("auto"), prompt: "What is the capital of France?" });
for await (const piece of stream.textStream) process.stdout.write(piece);
console.log("\n--", (await stream.usage).totalTokens, "tokens");

console.log("== A typed answer");
const City = z.object({ name: z.string(), inhabitants: z.number().int() });
const answer = await generateText({
  model: sluice("auto"),
  prompt: "'Oslo' has 700000 inhabitants.",
  output: Output.object({ schema: City }),
});
console.log(answer.output);
