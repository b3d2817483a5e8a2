// In Node, or on a page of this server: await classify("http://127.0.0.1:8000", file)
const token = globalThis.process?.env.EDGECLF_TOKEN;
const headers = token ? { Authorization: `Bearer ${token}` } : {};
export async function classify(server, body) {
  const response = await fetch(`${server}/v1/classify`, { method: "POST", headers, body });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail);
  return answer.results[0].categories; // [{ index, label, score }, ...], the best first
}
