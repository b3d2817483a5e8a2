// The device's camera.

/** Open a camera into a <video>; returns a function that stops it. Throws an Error with a sentence. */
export async function openCamera(video, facingMode = "environment") {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("The browser gives the camera to pages of this machine or of https alone.");
  }
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode }, audio: false });
  video.srcObject = stream;
  await video.play();
  return () => {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  };
}

/** Return what the video shows as a JPEG Blob, its longest side at most `side` pixels. */
export async function grabFrame(video, side = 640) {
  const scale = Math.min(1, side / Math.max(video.videoWidth, video.videoHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise(resolve => canvas.toBlob(resolve, "image/jpeg", 0.9));
}
