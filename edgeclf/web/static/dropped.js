// Pictures that are dropped or pasted, and those in dropped folders.

const PICTURE = /\.(jpe?g|png|gif|webp|bmp|tiff?|heic|heif|avif|jfif|pnm|ppm|jp2|ico)$/i;
const LITTER = new Set(["__MACOSX", "@eaDir"]); // that systems put beside pictures
const ADDRESS = /^https?:\/\/\S+$/i;

/** Say whether a file in a folder, by its path, is one of the folder's pictures. */
export function isPicture(path) {
  return PICTURE.test(path) && !path.split("/").some(isLitter);
}

function isLitter(name) {
  return name.startsWith(".") || LITTER.has(name);
}

/** Return what was dropped or pasted, as [{ blob, name }]; folders give their pictures. */
export async function picturesOf(transfer) {
  // The entries must be taken at once: the list is empty after the event.
  const items = [...(transfer.items ?? [])].filter(item => item.kind === "file");
  const entries = items.map(item => item.webkitGetAsEntry?.() ?? null);
  const files = [...transfer.files];
  if (!entries.some(entry => entry?.isDirectory)) return files.map(named);
  const found = await Promise.all(entries.map((entry, index) => (
    entry?.isDirectory ? below(entry) : [named(items[index].getAsFile() ?? files[index])]
  )));
  return found.flat().filter(({ blob }) => blob);
}

function named(file) {
  return { blob: file, name: file?.name };
}

async function below(folder) {
  const reader = folder.createReader();
  const found = [];
  for (;;) { // It gives at most 100 at a time.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) break;
    for (const entry of some) {
      if (isLitter(entry.name)) continue;
      if (entry.isDirectory) found.push(...await below(entry));
      else if (isPicture(entry.name)) found.push(await opened(entry));
    }
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function opened(entry) {
  const blob = await new Promise((resolve, reject) => entry.file(resolve, reject));
  return { blob, name: entry.fullPath.replace(/^\//, "") };
}

/** Return the address that was dropped or pasted as text, or null. */
export function addressOf(transfer) {
  const text = (transfer.getData("text/uri-list") || transfer.getData("text/plain")).trim();
  const first = text.split(/\s+/, 1)[0];
  return ADDRESS.test(first) ? first : null;
}

/** Return a picture that is to be fetched, as { url, name }. */
export function pictureAt(url) {
  try {
    return { url, name: decodeURIComponent(new URL(url).pathname.split("/").pop()) || url };
  } catch {
    return { url, name: url };
  }
}

/** Return what the clipboard holds, pictures and addresses. Throws without permission. */
export async function clipboardPictures() {
  const found = [];
  for (const item of await navigator.clipboard.read()) {
    const type = item.types.find(name => name.startsWith("image/"));
    if (type) found.push({ blob: await item.getType(type), name: `pasted.${type.slice(6)}` });
    else if (item.types.includes("text/plain")) {
      const text = (await (await item.getType("text/plain")).text()).trim();
      if (ADDRESS.test(text)) found.push(pictureAt(text));
    }
  }
  return found;
}
