// What was taken for what, as a table.

import { counted } from "./teach_words.js";

/** Return a <div> with the table: counts[true][predicted], and names of the classes. */
export function matrixTable(labels, counts) {
  const table = document.createElement("table");
  table.className = "confusion";
  const caption = table.createCaption();
  caption.textContent = "Test pictures: each row is what they show, each column what the model says.";
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
  return box;
}

function heading(text, scope) {
  const element = document.createElement("th");
  element.scope = scope;
  element.textContent = text;
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
