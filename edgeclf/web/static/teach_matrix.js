// What was taken for what, as a table.

import { counted } from "./teach_words.js";

const MOST_LETTERS = 24; // of names side by side over the columns; of more they stand

/** Return a <figure> with the table: counts[true][predicted], and names of the classes. */
export function matrixTable(labels, counts) {
  const table = document.createElement("table");
  table.className = "confusion";
  table.classList.toggle("upright", labels.join("").length > MOST_LETTERS);
  const head = table.createTHead().insertRow();
  head.append(heading("Shows", "col"), ...labels.map(label => heading(label, "col")));
  const body = table.createTBody();
  counts.forEach((row, shown) => {
    const line = body.insertRow();
    line.append(heading(labels[shown], "row"));
    const total = row.reduce((sum, count) => sum + count, 0);
    row.forEach((count, said) => line.append(cell(count, total, shown === said)));
  });
  const box = document.createElement("div");
  box.className = "scroll";
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Confusion matrix");
  box.append(table);
  const figure = document.createElement("figure");
  figure.className = "confusion-box";
  const caption = document.createElement("figcaption");
  caption.textContent = "Test pictures: each row is what they show, each column what the model says.";
  figure.append(caption, box);
  return figure;
}

function heading(text, scope) {
  const element = document.createElement("th");
  element.scope = scope;
  element.title = text;
  const words = document.createElement("span");
  words.textContent = text;
  element.append(words);
  return element;
}

function cell(count, total, isRight) {
  const element = document.createElement("td");
  element.textContent = String(count);
  element.className = isRight ? "hit" : "miss";
  element.title = `${count} of ${counted(total, "picture")}`;
  element.style.setProperty("--share", total ? count / total : 0);
  return element;
}
