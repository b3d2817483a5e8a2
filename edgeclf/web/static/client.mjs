export async function classify(server, picture) { // classify("http://127.0.0.1:8000", file)
  const response = await fetch(`${server}/v1/classify`, { method: "POST", body: picture });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail);
  return answer.results[0].categories; // [{ index, label, score }, ...], the best first
}
