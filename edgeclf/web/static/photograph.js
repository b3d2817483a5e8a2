// Taking a picture: with the camera's own program on telephones, else in a window.

import { grabFrame, openCamera } from "./camera.js";

const SIDE = 1600; // Longest side of a photograph, pixels.
const part = id => document.getElementById(id);
let stopCamera = () => {};

async function photograph() {
  // Telephones have a better camera than a page can be.
  if (matchMedia("(pointer: coarse)").matches) {
    part("capture").click();
    return;
  }
  part("camera").showModal();
  part("camera-error").hidden = true;
  part("shoot").disabled = true;
  try {
    const stop = await openCamera(part("viewfinder"));
    if (!part("camera").open) {
      stop();
      return;
    }
    stopCamera = stop;
    part("shoot").disabled = false;
    part("shoot").focus();
  } catch (error) {
    part("camera-error").textContent = `There is no picture of the camera. ${error.message}`;
    part("camera-error").hidden = false;
  }
}

/** Let the page's buttons take pictures; `take` gets each as a Blob or File. */
export function offerCamera(take) {
  part("photograph").addEventListener("click", photograph);
  part("capture").addEventListener("change", () => {
    for (const file of part("capture").files) take(file);
    part("capture").value = "";
  });
  part("shoot").addEventListener("click", async () => {
    const blob = await grabFrame(part("viewfinder"), SIDE);
    part("camera").close();
    take(blob);
  });
  part("camera-close").addEventListener("click", () => part("camera").close());
  part("camera").addEventListener("close", () => {
    stopCamera();
    stopCamera = () => {};
  });
}
