// Files that are dropped or chosen, and the classes that their folders speak of.

import { isPicture } from "./dropped.js";

/** The pictures of an <input type="file">, as those that are dropped: [{blob, name}]. */
export function chosenPictures(input) {
  return [...input.files]
    .map(file => ({ blob: file, name: file.webkitRelativePath || file.name }))
    .filter(({ blob, name }) => !blob.webkitRelativePath || isPicture(name));
}

/** A folder's name as one for a class: dots, blanks and underscores around it are cut. */
export function className(folder) {
  return folder.normalize("NFC").replace(/^[\s._]+|[\s.]+$/gu, "");
}

/**
 * Sort pictures into classes by their folders.
 *
 * A folder with folders in it is a folder of classes; one without is a class itself.
 * Returns {classes: Map(name -> [Blob]), loose: number that lie in no class folder}.
 */
export function byClass(pictures) {
  const paths = pictures.map(({ blob, name }) => ({ blob, path: name.split("/") }));
  const deep = new Set(paths.filter(({ path }) => path.length > 2).map(({ path }) => path[0]));
  const classes = new Map();
  let loose = 0;
  for (const { blob, path } of paths) {
    const [top, second] = path;
    const name = deep.has(top) ? path.length > 2 && second : path.length > 1 && top;
    if (!name) { loose += 1; continue; }
    if (!classes.has(name)) classes.set(name, []);
    classes.get(name).push(blob);
  }
  return { classes, loose };
}
