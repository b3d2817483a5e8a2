// What came of a training: how often it is right, and what it takes for what.

import { matrixTable } from "./teach_matrix.js";
import { pictureUrl } from "./teach_server.js";
import { counted, moment, percent, sized } from "./teach_words.js";

const TOO_WIDE = 0.3; // an interval, of what the accuracy may be
let shown = null; // which result; drawing it anew would take focus and place away

const get = id => document.getElementById(id);

/**
 * Show the model of a project's answer, and the result of the training that made it,
 * if it is known. `message` is of the last training if it made this model.
 */
export function showResult(project, model, result, message) {
  const wanted = JSON.stringify([model.trained, result, message]);
  if (wanted === shown) return;
  shown = wanted;
  drawAccuracy(model, result, message);
  const { confusion_matrix: matrix, labels, misclassified = [] } = result ?? {};
  get("matrix").replaceChildren(...(matrix?.length ? [matrixTable(labels, matrix)] : []));
  get("mistakes").replaceChildren(...mistakes(project, misclassified));
}

function drawAccuracy(model, result, message) {
  const { accuracy, accuracy_low: low, accuracy_high: high } = model;
  const isKnown = typeof accuracy === "number";
  get("accuracy").textContent = isKnown ? verdict(model, result) : "Trained";
  const sentences = message ? [message] : [];
  if (!message && !isKnown) sentences.push("There were too few pictures to measure how often it is right: add more.");
  if (typeof low === "number") sentences.push(`With 95% certainty between ${percent(low)} and ${percent(high)}.`);
  const when = new Date(model.trained);
  if (!Number.isNaN(when.getTime())) sentences.push(`Trained ${moment(when)}.`);
  if (model.size_bytes) sentences.push(`${sized(model.size_bytes)}.`);
  get("accuracy-more").textContent = sentences.join(" ");
}

/** Say how often a model is right; of few pictures also how few they are. */
export function verdict({ accuracy, accuracy_low: low, accuracy_high: high }, result) {
  if (!(high - low > TOO_WIDE)) return `${percent(accuracy)} right`;
  const number = result?.num_test;
  return `${Math.round(100 * accuracy)}%${number ? ` of ${counted(number, "picture")}` : ""} right: too few to say`;
}

function mistakes(project, pictures) {
  if (!pictures.length) return [];
  const title = document.createElement("h3");
  title.textContent = "Taken for something else";
  const list = document.createElement("ul");
  list.className = "mistakes";
  list.append(...pictures.map(({ label, id, name, predicted }) => {
    const item = document.createElement("li");
    const image = document.createElement("img");
    image.src = `${pictureUrl(project, label, id)}/thumbnail`;
    image.alt = name ?? "";
    image.loading = "lazy";
    const words = document.createElement("span");
    words.textContent = `${label}, taken for ${predicted}`;
    item.append(image, words);
    return item;
  }));
  return [title, list];
}
