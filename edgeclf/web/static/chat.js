// The page that talks about the last prediction.

import { renderBars } from "./bars.js";
import { Events } from "./events.js";
import { recall } from "./last.js";

const MOST_MESSAGES = 20; // of a talk that go along with a question
const MOST_CHARACTERS = 32000; // of one of them: the server takes no longer ones
const MOST_CATEGORIES = 100;

const at = id => document.getElementById(id);
const last = recall();
let messages = []; // {role, content}
let aborter = null; // of the answer that is being written

function showLast() {
  if (!last) return;
  at("nothing").hidden = true;
  at("last").hidden = false;
  at("name").textContent = last.categories.length ? last.image : `${last.image}: no tag is above its threshold.`;
  renderBars(at("bars"), last.categories);
  if (/^data:image\/(jpeg|png);base64,/.test(last.thumbnail ?? "")) {
    at("thumbnail").src = last.thumbnail;
    at("thumbnail").hidden = false;
  }
}

/** Add a turn to the page; returns where its words go. */
function addTurn(role, words) {
  const turn = document.createElement("li");
  turn.className = `turn ${role}`;
  const who = document.createElement("span");
  who.className = "visually-hidden";
  who.textContent = role === "user" ? "You: " : "Answer: ";
  const text = document.createElement("div");
  text.className = "words";
  text.textContent = words;
  turn.append(who, text);
  at("turns").append(turn);
  turn.scrollIntoView({ block: "nearest" });
  return text;
}

function refresh() {
  const isBusy = aborter !== null;
  at("ask").disabled = isBusy;
  at("stop").hidden = !isBusy;
  at("ideas").hidden = messages.length > 0;
  at("clear").hidden = messages.length === 0;
  at("retry").hidden = isBusy || messages.at(-1)?.role !== "user";
  at("turns").setAttribute("aria-busy", String(isBusy));
}

function complain(sentence) {
  at("problem").textContent = sentence;
  at("problem").hidden = !sentence;
}

function said() {
  // The newest that fit, and a question first.
  const kept = messages.slice(-MOST_MESSAGES).map(({ role, content }) => (
    { role, content: content.slice(0, MOST_CHARACTERS) }
  ));
  let size = 0;
  let first = kept.length;
  while (first > 0 && (size += kept[first - 1].content.length) <= 2 * MOST_CHARACTERS) first -= 1;
  return kept.slice(Math.min(first, kept.length - 1));
}

function prediction() {
  return last && {
    categories: last.categories.slice(0, MOST_CATEGORIES)
      .map(({ index, label, score }) => ({ index, label, score })),
  };
}

async function request(signal) {
  let response;
  try {
    response = await fetch("/chat", {
      method: "POST",
      credentials: "same-origin",
      headers: { "Content-Type": "application/json", Accept: "text/event-stream, application/json" },
      body: JSON.stringify({ messages: said(), prediction: prediction() }),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("This server cannot be reached.");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  throw new Error(body?.detail ?? `The server answered ${response.status}.`);
}

/** Ask for the answer to the talk so far, and write it as it comes. */
async function answer() {
  aborter = new AbortController();
  const { signal } = aborter;
  const words = addTurn("assistant", "");
  words.classList.add("waiting");
  complain("");
  at("spoken").textContent = "The answer is being written.";
  refresh();
  let content = "";
  let trouble = "";
  try {
    const response = await request(signal);
    let isDone = false;
    for await (const event of new Events(response)) {
      if (event.delta) {
        content += event.delta;
        words.classList.remove("waiting");
        words.textContent = content;
        words.parentElement.scrollIntoView({ block: "nearest" });
      }
      if (event.error) trouble = event.error;
      isDone ||= Boolean(event.done || event.error);
    }
    if (!isDone) trouble = "The connection broke; the answer is not whole.";
  } catch (error) {
    if (!signal.aborted) trouble = error.message || "The connection broke.";
  }
  if (signal.aborted && aborter?.signal !== signal) return; // a new chat was begun
  aborter = null;
  words.classList.remove("waiting");
  if (content) messages.push({ role: "assistant", content });
  else words.parentElement.remove();
  if (signal.aborted && content) words.classList.add("stopped");
  complain(trouble);
  at("spoken").textContent = trouble ? "" : signal.aborted ? "Stopped." : content;
  refresh();
}

function ask(question) {
  if (aborter || !question.trim()) return;
  if (messages.at(-1)?.role === "user") messages.pop(); // It got no answer.
  messages.push({ role: "user", content: question.trim() });
  addTurn("user", question.trim());
  answer();
}

at("form").addEventListener("submit", event => {
  event.preventDefault();
  if (aborter) return;
  const question = at("question").value;
  at("question").value = "";
  ask(question);
});
at("question").addEventListener("keydown", event => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  at("form").requestSubmit();
});
at("ideas").addEventListener("click", event => {
  const idea = event.target.closest("button");
  if (!idea) return;
  ask(idea.textContent);
  at("question").focus();
});
at("stop").addEventListener("click", () => {
  aborter?.abort();
  at("question").focus();
});
at("retry").addEventListener("click", () => {
  at("question").focus();
  answer();
});
at("clear").addEventListener("click", () => {
  const running = aborter;
  aborter = null;
  running?.abort();
  messages = [];
  at("turns").replaceChildren();
  at("spoken").textContent = "The talk is gone.";
  complain("");
  refresh();
  at("question").focus();
});

showLast();
refresh();
