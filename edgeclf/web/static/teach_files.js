// Files that are dropped or chosen, with where they lay; and the classes they speak of.

const LITTER = new Set(["__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini"]);

/** Read all that was dropped, folders too: [{path: ["photos", "cat", "a.jpg"], file}]. */
export async function droppedFiles(transfer) {
  // Entries and files must be taken before the first wait: then the drop is over.
  const items = [...transfer.items].filter(item => item.kind === "file");
  const taken = items.map(item => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
  const found = [];
  for (const { entry, file } of taken) {
    if (entry?.isDirectory) await readFolder(entry, [entry.name], found);
    else if (file) found.push({ path: [file.name], file });
  }
  return found;
}

async function readFolder(folder, path, found) {
  const reader = folder.createReader();
  for (;;) {
    // Chromium hands out a hundred at a time.
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return;
    for (const entry of entries) {
      if (isPassedOver(entry.name)) continue;
      if (entry.isDirectory) await readFolder(entry, [...path, entry.name], found);
      else found.push({ path: [...path, entry.name], file: await fileOf(entry) });
    }
  }
}

function fileOf(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** The files of an <input type="file">, in the same form. */
export function chosenFiles(input) {
  return [...input.files]
    .map(file => ({ path: (file.webkitRelativePath || file.name).split("/"), file }))
    .filter(({ path }) => !path.some(isPassedOver));
}

function isPassedOver(name) {
  return name.startsWith(".") || LITTER.has(name);
}

/** Whether a file looks like a picture, by its type or the ending of its name. */
export function isPicture(file, endings) {
  const dot = file.name.lastIndexOf(".");
  return file.type.startsWith("image/") || (dot > 0 && endings.has(file.name.slice(dot).toLowerCase()));
}

/**
 * Sort files into classes by their folders.
 *
 * A folder with folders in it is a folder of classes; one without is a class itself.
 * Returns {classes: Map(name -> [File]), loose: files that lie in no class folder}.
 */
export function byClass(files) {
  const deep = new Set(files.filter(({ path }) => path.length > 2).map(({ path }) => path[0]));
  const classes = new Map();
  const loose = [];
  for (const { path, file } of files) {
    const name = deep.has(path[0]) ? path.length > 2 && path[1] : path.length > 1 && path[0];
    if (!name) { loose.push(file); continue; }
    if (!classes.has(name)) classes.set(name, []);
    classes.get(name).push(file);
  }
  return { classes, loose };
}
