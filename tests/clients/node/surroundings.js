// What a client's suite knows of where it runs: the gateway, a key to it, and the model behind it.

export const baseURL = `${process.env.SLUICE_URL}/v1`;
export const key = process.env.SLUICE_KEY;
export const model = "openai/gpt-4o";
export const text = "Water boils at 100 degrees.";
export const pixel =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=";

const patience = 10_000;

/** How many of the model's answers were left before their end. */
export const countCancelled = () => askUpstream("-1");

/** Resolves once more answers than that were left; rejects if it takes too long. */
export const waitCancelled = (above) => askUpstream(above);

async function askUpstream(above) {
  const url = `${process.env.UPSTREAM_URL}/cancelled?above=${above}`;
  const response = await fetch(url, { signal: AbortSignal.timeout(patience) });
  return (await response.json()).cancelled;
}
