// Small pictures for cards, made in the browser, two at a time: one of a telephone fills
// 48 MB while it is being decoded.

const SIDE = 720;
const AT_A_TIME = 2;
const waiting = [];
let working = 0;

/** Return a small JPEG Blob of a picture; null for kinds that the browser does not show. */
export function thumbnail(blob) {
  return new Promise(resolve => {
    waiting.push([blob, resolve]);
    next();
  });
}

async function next() {
  if (working >= AT_A_TIME || waiting.length === 0) return;
  working += 1;
  const [blob, resolve] = waiting.shift();
  try {
    resolve(await made(blob));
  } catch {
    resolve(null); // HEIC and TIFF in most browsers, and what is not a picture.
  } finally {
    working -= 1;
    next();
  }
}

async function made(blob) {
  const bitmap = await createImageBitmap(blob);
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // Below what is transparent, as the server has it.
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise(resolve => canvas.toBlob(resolve, "image/jpeg", 0.85));
}
