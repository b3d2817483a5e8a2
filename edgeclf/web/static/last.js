// The last prediction, from the page that labels pictures to the one that talks of it.
// It stays in this tab of the browser.

const KEY = "edgeclf:last";
const SIDE = 240;
let newest = 0;

/** Keep a prediction; `preview` is a promise of a Blob to be shown with it, or of null. */
export async function remember(image, categories, preview) {
  if (!document.querySelector('header a[href="/chat"]')) return; // Nobody would ask.
  const number = newest += 1;
  const thumbnail = await small(await preview).catch(() => null);
  if (number !== newest) return;
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ image, categories, thumbnail }));
  } catch { /* The browser keeps nothing: the chat then knows of no picture. */ }
}

/** Return {image, categories, thumbnail} of the last prediction; null without one. */
export function recall() {
  try {
    const last = JSON.parse(sessionStorage.getItem(KEY));
    return Array.isArray(last?.categories) ? last : null;
  } catch {
    return null;
  }
}

async function small(blob) {
  if (!blob) return null;
  const bitmap = await createImageBitmap(blob);
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas.toDataURL("image/jpeg", 0.85);
}
