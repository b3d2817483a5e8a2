// The device's cameras.

// What the names of the browser's errors mean, and what to do.
const SENTENCES = {
  NotAllowedError: "The camera was refused. Allow it for this page in the address bar "
    + "or in the browser's settings, then start again.",
  NotFoundError: "No camera was found. Plug one in, then start again.",
  NotReadableError: "The camera cannot be read. Close other programs that use it, then "
    + "start again.",
  OverconstrainedError: "That camera is gone. Choose another one.",
};
const UNSAFE = "Browsers give the camera only to pages of this machine "
  + "(http://localhost) or of https. Serve with --certificate and --key, or open the "
  + "page on the machine itself.";

const GONE = "The camera has gone. Plug it in again, then start.";
const attempts = new WeakMap(); // of each <video>: the newest counts

/**
 * Open a camera into a <video>; returns a function that stops it. Throws an Error with
 * a sentence. A `deviceId` (see `listCameras`) goes before `facingMode`, which is
 * "environment" (away from the user) or "user". `onGone(sentence)` is called when the
 * camera was taken away and has been stopped.
 *
 * Permission may take a while: returns null if `forgetCamera` or another `openCamera`
 * of this <video> came meanwhile; the camera is then not left running.
 */
export async function openCamera(video, {
  facingMode = "environment", deviceId = null, onGone = () => {},
} = {}) {
  if (!navigator.mediaDevices?.getUserMedia) throw new Error(UNSAFE);
  forgetCamera(video);
  const attempt = attempts.get(video);
  const isOld = () => attempts.get(video) !== attempt;
  const which = deviceId ? { deviceId: { exact: deviceId } } : { facingMode };
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: which, audio: false });
  } catch (error) {
    if (isOld()) return null;
    throw new Error(SENTENCES[error.name] ?? `The camera does not start: ${error.message}`);
  }
  const stop = () => {
    for (const track of stream.getTracks()) track.stop();
    if (video.srcObject === stream) video.srcObject = null;
  };
  if (isOld()) {
    stop();
    return null;
  }
  video.srcObject = stream;
  try {
    await video.play();
  } catch (error) {
    stop();
    if (isOld()) return null;
    throw new Error(`The camera's picture does not play: ${error.message}`);
  }
  if (isOld()) {
    stop();
    return null;
  }
  // Not of a track that is stopped here.
  stream.getVideoTracks()[0].addEventListener("ended", () => {
    stop();
    onGone(GONE);
  });
  return stop;
}

/** Let no camera come that is being opened for a <video>. */
export function forgetCamera(video) {
  attempts.set(video, (attempts.get(video) ?? 0) + 1);
}

/**
 * Return the cameras, `[{id, name}]`. Browsers tell ids and names only after one was
 * opened: before that the list may be empty.
 */
export async function listCameras() {
  if (!navigator.mediaDevices?.enumerateDevices) return [];
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices
    .filter(device => device.kind === "videoinput" && device.deviceId)
    .map((device, place) => ({ id: device.deviceId, name: device.label || `Camera ${place + 1}` }));
}

/** Return the settings of the camera that a <video> shows: deviceId, facingMode, ... */
export function cameraSettings(video) {
  return video.srcObject?.getVideoTracks()[0]?.getSettings() ?? {};
}

/** Return what the video shows as a JPEG Blob, its longest side at most `side` pixels. */
export async function grabFrame(video, side = 640, quality = 0.9) {
  if (!video.videoWidth) throw new Error("The camera shows no picture yet.");
  const scale = Math.min(1, side / Math.max(video.videoWidth, video.videoHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(video.videoWidth * scale));
  canvas.height = Math.max(1, Math.round(video.videoHeight * scale));
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => canvas.toBlob(
    blob => (blob ? resolve(blob) : reject(new Error("The picture cannot be stored."))),
    "image/jpeg", quality,
  ));
}
