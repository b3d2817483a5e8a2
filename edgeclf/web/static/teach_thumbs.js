// The newest pictures of a class, small, each with a button that deletes it.

import { onSinglePress } from "./presses.js";
import { pictureUrl } from "./teach_server.js";

const CROSS = "M7 7l10 10M17 7L7 17";

/** Fill a <ul> with pictures ({id, name}); what is there already stays as it is. */
export function showThumbs(list, project, className, pictures, onDelete) {
  const shown = new Map([...list.children].map(item => [item.dataset.id, item]));
  const wanted = new Set(pictures.map(picture => String(picture.id)));
  for (const [id, item] of shown) {
    if (!wanted.has(id)) removeThumb(list, item);
  }
  let before = list.firstElementChild;
  for (const picture of pictures) {
    const item = shown.get(String(picture.id)) ?? makeThumb(list, picture, onDelete);
    const source = `${pictureUrl(project, className, picture.id)}/thumbnail`;
    const image = item.firstElementChild;
    if (image.getAttribute("src") !== source) image.src = source;
    if (item === before) before = before.nextElementSibling;
    else list.insertBefore(item, before);
  }
  settle(list);
}

/** Take one out; the focus goes to its neighbour. */
export function removeThumb(list, item) {
  const next = item.nextElementSibling ?? item.previousElementSibling;
  const focused = item.contains(document.activeElement);
  item.remove();
  settle(list);
  if (focused) next?.querySelector("button").focus();
}

function makeThumb(list, picture, onDelete) {
  const item = document.createElement("li");
  item.dataset.id = picture.id;
  const image = document.createElement("img");
  image.alt = "";
  image.loading = "lazy";
  image.decoding = "async";
  image.width = image.height = 80;
  const button = document.createElement("button");
  button.type = "button";
  button.tabIndex = -1;
  button.className = "delete-picture";
  button.title = `Delete ${picture.name}`;
  button.setAttribute("aria-label", button.title);
  button.append(cross());
  onSinglePress(button, () => onDelete(picture, item));
  button.addEventListener("keydown", event => walk(list, item, event));
  item.append(image, button);
  return item;
}

function cross() {
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", CROSS);
  drawing.append(path);
  return drawing;
}

// One stop of the Tab key for all pictures; the arrow keys go from one to the next.
function walk(list, item, event) {
  const target = {
    ArrowRight: item.nextElementSibling,
    ArrowLeft: item.previousElementSibling,
    Home: list.firstElementChild,
    End: list.lastElementChild,
  }[event.key];
  if (!target) return;
  event.preventDefault();
  for (const button of list.querySelectorAll("button[tabindex='0']")) button.tabIndex = -1;
  const button = target.querySelector("button");
  button.tabIndex = 0;
  button.focus();
}

function settle(list) {
  const first = list.querySelector("button");
  if (first && !list.querySelector("button[tabindex='0']")) first.tabIndex = 0;
}
