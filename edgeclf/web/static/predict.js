// The page that labels pictures.

import { askBlob, classify } from "./api.js";
import { Card } from "./card.js";
import { addressOf, clipboardPictures, pictureAt, picturesOf } from "./dropped.js";
import { offerCamera } from "./photograph.js";
import { csv, jsonLines, save } from "./tables.js";

const IN_FLIGHT = 3; // Requests at a time: enough to keep the server from waiting.
const TOAST_MS = 6000;
const PAUSED = new Set([429, 503]); // Too much at once: come again later.

const part = id => document.getElementById(id);
const { api } = part("drop").dataset; // of the model that is used
const cards = [];
let waiting = [];
let working = 0;
let pausedUntil = 0;
let photographs = 0;

let toastTimer = 0;
function say(sentence) {
  part("toast").textContent = sentence;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { part("toast").textContent = ""; }, TOAST_MS);
}

function counted(state) {
  return cards.filter(card => card.state === state).length;
}

function summary() {
  const labelled = counted("labelled");
  const failed = counted("failed");
  const words = [`${labelled} of ${cards.length} labelled`];
  if (failed) words.push(`${failed} could not be`);
  const pauseS = Math.ceil((pausedUntil - Date.now()) / 1000);
  if (pauseS > 0 && waiting.length + working > 0) words.push(`the server is busy, going on in ${pauseS} s`);
  return words.join(" · ");
}

function refresh() {
  const done = counted("labelled") + counted("failed");
  document.body.classList.toggle("has-results", cards.length > 0);
  part("results").classList.toggle("single", cards.length === 1);
  part("results-title").hidden = cards.length === 0;
  part("toolbar").hidden = cards.length === 0;
  part("count").textContent = summary();
  part("progress").hidden = done === cards.length;
  part("progress").max = cards.length || 1;
  part("progress").value = done;
  part("again").hidden = done < cards.length || !cards.some(card => card.canRetry);
  part("csv").disabled = part("json").disabled = done === 0;
}

/** Say once, to who cannot see it, what came out. */
function announce(card) {
  if (waiting.length + working > 0) return;
  const { categories = [], error } = card.result ?? {};
  const words = categories.map(({ label, index, score }) => (
    `${label ?? index} ${(100 * score).toFixed(0)}%`
  ));
  part("announcer").textContent = cards.length > 1
    ? `${summary()}.`
    : error ?? `${card.name}: ${words.join(", ") || "no tag is above its threshold"}.`;
}

/** Put pictures on the page: [{ name, blob }], or { name, url } of one to fetch. */
function add(pictures) {
  if (pictures.length === 0) {
    say("There was no picture in that.");
    return;
  }
  const options = { heatUrl: `${api}/heatmap`, onRemove: remove, onRetry: again, say };
  const fresh = pictures.map(({ name, blob, url }) => {
    const card = new Card(part("card"), name || "picture", options);
    card.url = url;
    if (blob) card.picture(blob);
    return card;
  });
  cards.unshift(...fresh);
  waiting.push(...fresh);
  part("results").prepend(...fresh.map(card => card.element));
  part("announcer").textContent = "";
  refresh();
  pump();
}

function pump() {
  if (Date.now() < pausedUntil) return;
  while (working < IN_FLIGHT && waiting.length > 0) {
    working += 1;
    work(waiting.shift());
  }
}

async function work(card) {
  const { signal } = card.aborter;
  card.working();
  try {
    if (!card.blob) card.picture(await fetched(card.url, signal));
    const answer = await classify(named(card), { url: `${api}/classify`, signal });
    if (!signal.aborted) card.labelled(answer);
  } catch (error) {
    if (signal.aborted) {
      // It was removed: nothing is to be said of it.
    } else if (PAUSED.has(error.status) && error.retryAfter) {
      waiting.unshift(card);
      card.become("waiting", "Waits: the server is busy");
      pause(error.retryAfter);
    } else {
      card.canRetry = error.status === 0 || error.status >= 500 || error.status === 401;
      card.failed(error.message, card.canRetry);
    }
  } finally {
    working -= 1;
  }
  refresh();
  if (!signal.aborted) announce(card);
  pump();
}

function pause(seconds) {
  pausedUntil = Math.max(pausedUntil, Date.now() + 1000 * seconds);
  const tick = setInterval(() => {
    refresh();
    if (Date.now() < pausedUntil) return;
    clearInterval(tick);
    pump();
  }, 250);
}

/** Return what the server fetched for us: pages may not ask other servers. */
async function fetched(url, signal) {
  const body = JSON.stringify({ images: [{ url }] });
  const headers = { "Content-Type": "application/json" };
  return askBlob("/predict/picture", { method: "POST", body, headers, signal });
}

function named(card) {
  return new File([card.blob], card.name, { type: card.blob.type });
}

function again(card) {
  if (card.part("retry") === document.activeElement) card.part("remove").focus();
  card.canRetry = false;
  card.become("waiting", "Waits for its turn");
  waiting.push(card);
  refresh();
  pump();
}

function remove(card) {
  const place = cards.indexOf(card);
  cards.splice(place, 1);
  waiting = waiting.filter(other => other !== card);
  card.remove();
  const next = cards[Math.min(place, cards.length - 1)];
  (next ? next.part("remove") : part("files")).focus();
  refresh();
}

async function take(event) {
  const transfer = event.dataTransfer ?? event.clipboardData;
  const hasFiles = [...transfer.types].includes("Files");
  const url = hasFiles ? null : addressOf(transfer);
  if (!hasFiles && !url) {
    if (!isField(event.target)) say("That is text. Give pictures, or the address of one.");
    return;
  }
  event.preventDefault();
  if (url) {
    add([pictureAt(url)]);
    return;
  }
  try {
    add(await picturesOf(transfer));
  } catch (error) {
    say(`The browser could not read that: ${error.message}`);
  }
}

function isWriting({ target, clipboardData }) {
  return isField(target) && ![...clipboardData.types].includes("Files");
}

function isField(element) {
  return Boolean(element.closest?.("input:not([type=file]), textarea"));
}

async function pasteFromClipboard() {
  let found;
  try {
    found = await clipboardPictures();
  } catch {
    say("The browser does not let this page read the clipboard. Press Ctrl+V instead.");
    return;
  }
  add(found);
}

part("files").addEventListener("change", () => {
  add([...part("files").files].map(file => ({ blob: file, name: file.name })));
  part("files").value = "";
});
offerCamera(blob => {
  photographs += 1;
  add([{ blob, name: `photograph-${photographs}.jpg` }]);
});
part("paste").hidden = !navigator.clipboard?.read;
part("paste").addEventListener("click", pasteFromClipboard);
part("address").addEventListener("submit", event => {
  event.preventDefault();
  const url = part("url").value.trim();
  part("url").value = "";
  add([pictureAt(url)]);
});
document.addEventListener("paste", event => {
  if (!isWriting(event)) take(event);
});

let depth = 0; // Of what is entered: leaving a child is not leaving the page.
const over = step => {
  depth = Math.max(0, depth + step);
  part("drop").classList.toggle("over", depth > 0);
};
document.addEventListener("dragenter", () => over(1));
document.addEventListener("dragleave", () => over(-1));
document.addEventListener("dragover", event => event.preventDefault());
document.addEventListener("drop", event => {
  over(-depth);
  take(event);
});

const done = () => cards.map(card => card.result).filter(Boolean);
part("csv").addEventListener("click", () => save(csv(done()), "labels.csv", "text/csv"));
part("json").addEventListener("click", () => (
  save(jsonLines(done()), "labels.jsonl", "application/x-ndjson")
));
part("again").addEventListener("click", () => (
  cards.filter(card => card.canRetry).forEach(again)
));
part("clear").addEventListener("click", () => {
  for (const card of cards.splice(0)) card.remove();
  waiting = [];
  part("announcer").textContent = "All pictures are removed.";
  part("files").focus();
  refresh();
});
