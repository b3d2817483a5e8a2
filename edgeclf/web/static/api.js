// What the server answers, for all pages.

export class Problem extends Error {
  /** An error of the server, a sentence; `retryAfter` in seconds or null. */
  constructor(detail, status, retryAfter = null) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Ask the server; return the parsed JSON, null of an empty body. Throws Problem. */
export async function ask(url, options = {}) {
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The server cannot be reached.", 0);
  }
  const text = await response.text();
  let body = null;
  try { body = text ? JSON.parse(text) : null; } catch { body = null; }
  if (!response.ok) {
    const wait = Number(response.headers.get("Retry-After")) || null;
    throw new Problem(body?.detail || `The server answered ${response.status}.`, response.status, wait);
  }
  return body;
}

/** Label one picture (Blob or File). Returns {image, categories, latencyMs}. Throws Problem. */
export async function classify(blob, { url = "/v1/classify", topK = null, signal } = {}) {
  const form = new FormData();
  form.append("image", blob, blob.name || "picture.jpg");
  const began = performance.now();
  const answer = await ask(topK ? `${url}?top_k=${topK}` : url, { method: "POST", body: form, signal });
  return { ...answer.results[0], latencyMs: performance.now() - began };
}
