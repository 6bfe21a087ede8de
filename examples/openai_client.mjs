// OpenAI's Node client against Sluice: one line differs, `baseURL`. Needs `npm install openai`.
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: (process.env.SLUICE_URL ?? "http://127.0.0.1:8000") + "/v1",
  apiKey: process.env.SLUICE_KEY ?? "unused",
});

console.log("== Models");
const models = await client.models.list();
console.log(models.data.map((model) => model.id).join(", "));

console.log("== An answer, and why it came from where it came from");
const answer = await client.chat.completions.create({
  model: "auto",
  messages: [{ role: "user", content: "What is the capital of France?" }],
});
console.log(answer.choices[0].message.content);
console.log("--", answer.model, answer.sluice.sensitivity, answer.sluice.route.rule);

console.log("== A stream from the documents that were put in");
const stream = await client.chat.completions.create({
  model: "documents",
  messages: [{ role: "user", content: "How many blankets were delivered?" }],
  stream: true,
});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
console.log();

console.log("== Embeddings");
const embedded = await client.embeddings.create({ model: "auto", input: ["A cat sits on the mat."] });
console.log(`${embedded.data.length} vector of ${embedded.data[0].embedding.length} dimensions`);
