// What the server answers, for all pages.

export class Problem extends Error {
  /** An error of the server, a sentence; `retryAfter` in seconds or null. */
  constructor(detail, status, retryAfter = null) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Ask the server; return its answer. Throws Problem. */
async function answered(url, options) {
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The server cannot be reached.", 0);
  }
  if (!response.ok) {
    const wait = Number(response.headers.get("Retry-After")) || null;
    throw new Problem(await complaint(response), response.status, wait);
  }
  return response;
}

/** Return the sentence of an answer that is an error: its only picture's, else its own. */
async function complaint(response) {
  let body = null;
  try { body = await response.json(); } catch { /* It is no problem document. */ }
  const results = body?.results ?? [];
  const detail = results.length === 1 ? results[0].error : body?.detail;
  return detail || `The server answered ${response.status}.`;
}

/** Ask the server; return the parsed JSON, null of an empty body. Throws Problem. */
export async function ask(url, options = {}) {
  const text = await (await answered(url, options)).text();
  try { return text ? JSON.parse(text) : null; } catch { return null; }
}

/** Ask the server; return the body as a Blob. Throws Problem. */
export async function askBlob(url, options = {}) {
  return (await answered(url, options)).blob();
}

/** Return a form that holds one picture (Blob or File). */
export function formOf(blob) {
  const form = new FormData();
  form.append("image", blob, blob.name || "picture.jpg");
  return form;
}

/** Label one picture (Blob or File). Returns {image, categories, latencyMs}. Throws Problem. */
export async function classify(blob, { url = "/v1/classify", topK = null, signal } = {}) {
  const began = performance.now();
  const address = new URL(url, location.href);
  if (topK) address.searchParams.set("top_k", topK);
  const answer = await ask(address, {
    method: "POST", body: formOf(blob), signal,
  });
  return { ...answer.results[0], latencyMs: performance.now() - began };
}
