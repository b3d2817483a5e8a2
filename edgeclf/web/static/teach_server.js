// The teach part of the API.

import { ask } from "./api.js";

export const PROJECTS = "/v1/teach/projects";

/** The address of a project. */
export function projectUrl(project) {
  return `${PROJECTS}/${encodeURIComponent(project)}`;
}

/** The address of a class. */
export function classUrl(project, name) {
  return `${projectUrl(project)}/classes/${encodeURIComponent(name)}`;
}

/** The address of a picture. */
export function pictureUrl(project, name, id) {
  return `${classUrl(project, name)}/pictures/${encodeURIComponent(id)}`;
}

/** Send an object as JSON; return the answer. Throws Problem. */
export function send(method, url, content) {
  return ask(url, {
    method,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(content),
  });
}

/** Delete what an address names; that it is gone already is as good. Throws Problem. */
export async function remove(url) {
  try {
    await ask(url, { method: "DELETE" });
  } catch (problem) {
    if (problem.status !== 404) throw problem;
  }
}
