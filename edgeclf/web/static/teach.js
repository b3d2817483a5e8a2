// The page of all projects.

import { ask } from "./api.js";
import { PROJECTS, projectUrl, remove, send } from "./teach_server.js";
import { announce, confirmed, copyOf, counted, keepFresh, moment, percent, tell } from "./teach_words.js";

const EVERY_MS = 5000;
const list = document.getElementById("projects");
const said = document.getElementById("said");
const trouble = document.getElementById("trouble");
const cards = new Map(); // name -> element
let isTroubled = false; // the last question had no answer
let isCreating = false;
let changes = 0; // of this page; an answer that was asked for before one is old

function makeCard(name) {
  const card = copyOf("project-card");
  const link = card.querySelector(".open");
  link.textContent = name;
  link.href = `/teach/${encodeURIComponent(name)}`;
  const button = card.querySelector(".delete");
  button.setAttribute("aria-label", `Delete ${name}`);
  button.addEventListener("click", () => deleteProject(name, card));
  return card;
}

function fill(card, project) {
  card.dataset.pictures = project.num_pictures;
  card.querySelector(".counts").textContent =
    `${counted(project.num_classes, "class", "classes")}, ${counted(project.num_pictures, "picture")}`;
  const when = new Date(project.modified);
  card.querySelector(".since").textContent =
    Number.isNaN(when.getTime()) ? "" : `Changed ${moment(when)}`;
  const state = card.querySelector(".state");
  const { has_model: hasModel, accuracy } = project;
  state.textContent = !hasModel ? "Not trained yet"
    : typeof accuracy === "number" ? `Model: ${percent(accuracy)} right` : "Model trained";
  state.classList.toggle("good", hasModel);
}

function show({ projects, is_single: isSingle = false }) {
  // The folder of the only project is not ours to make or to delete.
  document.getElementById("new-project").hidden = isSingle;
  const names = new Set(projects.map(project => project.name));
  for (const [name, card] of cards) {
    if (!names.has(name)) { card.remove(); cards.delete(name); }
  }
  projects.forEach((project, place) => {
    if (!cards.has(project.name)) cards.set(project.name, makeCard(project.name));
    const card = cards.get(project.name);
    fill(card, project);
    card.querySelector(".delete").hidden = isSingle;
    if (list.children[place] !== card) list.insertBefore(card, list.children[place] ?? null);
  });
  document.getElementById("loading").hidden = true;
  document.getElementById("none").hidden = projects.length > 0;
}

async function refresh() {
  const seen = changes;
  try {
    const answer = await ask(PROJECTS);
    if (seen === changes) show(answer);
    if (isTroubled) tell(trouble, null);
    isTroubled = false;
  } catch (problem) {
    isTroubled = true;
    document.getElementById("loading").hidden = true;
    tell(trouble, problem.message);
  }
}

async function deleteProject(name, card) {
  const pictures = counted(Number(card.dataset.pictures), "picture");
  if (!await confirmed(`Delete “${name}”?`, `Its ${pictures} and its model are deleted from the disk. This cannot be undone.`)) return;
  changes += 1;
  tell(trouble, null);
  try {
    await remove(projectUrl(name));
    announce(said, `${name} is deleted.`);
    document.getElementById("project-name").focus();
  } catch (problem) {
    tell(trouble, problem.message);
    return;
  } finally {
    changes += 1;
  }
  await refresh();
}

document.getElementById("new-project").addEventListener("submit", async event => {
  event.preventDefault();
  const input = document.getElementById("project-name");
  const hint = document.getElementById("project-problem");
  const name = input.value.trim();
  if (isCreating) return; // The button was pressed twice.
  isCreating = true;
  tell(hint, null);
  try {
    const project = await send("POST", PROJECTS, { name });
    location.assign(`/teach/${encodeURIComponent(project.name)}`);
  } catch (problem) {
    tell(hint, problem.message);
    input.focus();
  } finally {
    isCreating = false;
  }
});

keepFresh(refresh, EVERY_MS);
