// Live pictures: the next one is asked for when the last has arrived, and only while it can be seen.

import { api } from "./api.js";

export function livePicture(image, name, signal, { everyMs = 1000, onSize = null } = {}) {
  let address = null, tag = null, isVisible = true, timer = 0;
  const observer = new IntersectionObserver((entries) => { isVisible = entries.at(-1).isIntersecting; });
  observer.observe(image);

  async function show(blob) {
    const next = URL.createObjectURL(blob);
    image.src = next;
    await image.decode().catch(() => {});
    if (address) URL.revokeObjectURL(address);
    address = next;
    image.classList.add("shown");
    if (onSize && image.naturalWidth) onSize(image.naturalWidth, image.naturalHeight);
  }

  async function ask() {
    try {
      const response = await fetch(api.pictureAddress(name), { cache: "no-cache", signal });
      if (response.status === 200 && response.headers.get("ETag") !== tag) {
        tag = response.headers.get("ETag");
        await show(await response.blob());
      }
    } catch { /* the next one may come */ }
  }

  async function run() {
    if (signal.aborted) return;
    if (isVisible && !document.hidden) await ask();
    if (!signal.aborted) timer = setTimeout(run, everyMs);
  }

  signal.addEventListener("abort", () => { clearTimeout(timer); observer.disconnect(); if (address) URL.revokeObjectURL(address); });
  run();
}
