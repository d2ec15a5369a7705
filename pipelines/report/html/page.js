
"use strict";
// A click or a key on a timeline, a thumbnail or an alarm plays the video of that card at that second.

function seek(card, seconds) {
  const box = card.querySelector(".player");
  let video = box.querySelector("video");
  if (!video) {
    video = document.createElement("video");
    video.controls = true;
    video.muted = true;
    video.addEventListener("timeupdate", () => mark(card, video.currentTime));
    video.addEventListener("error", () => next(card, video));
    box.prepend(video);
    box.hidden = false;
    video.src = card.dataset.src;
  }
  video.dataset.wanted = seconds;
  jump(video, seconds);
  mark(card, seconds);
  box.scrollIntoView({ block: "nearest" });
}

function jump(video, seconds) {
  const go = () => {
    video.currentTime = seconds;
    video.play().catch(() => {});
  };
  if (video.readyState > 0) go();
  else video.addEventListener("loadedmetadata", go, { once: true });
}

function next(card, video) {
  const box = card.querySelector(".player");
  if (!video.dataset.second && card.dataset.beside !== card.dataset.src) {
    video.dataset.second = "tried";
    video.src = card.dataset.beside;
    return;
  }
  video.remove();
  box.querySelector("p")?.remove();
  const text = document.createElement("p");
  text.className = "warning";
  text.textContent = "The video is not where it was, or this browser cannot play its format. Put it beside this page, or open the file in a player.";
  box.append(text);
}

function mark(card, seconds) {
  const duration = Number(card.dataset.duration);
  const timeline = card.querySelector(".timeline");
  const cursor = card.querySelector(".cursor");
  const x = 1000 * Math.min(1, seconds / duration);
  cursor.setAttribute("x1", x);
  cursor.setAttribute("x2", x);
  cursor.classList.add("is-on");
  timeline.setAttribute("aria-valuenow", seconds.toFixed(1));
  timeline.setAttribute("aria-valuetext", seconds.toFixed(1) + " s");
}

for (const link of document.querySelectorAll(".seek")) {
  link.addEventListener("click", (event) => {
    const card = link.closest("article") || document.getElementById(link.dataset.card);
    if (!card || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    seek(card, Number(link.dataset.seconds));
  });
}

for (const timeline of document.querySelectorAll(".timeline")) {
  const card = timeline.closest("article");
  const duration = Number(card.dataset.duration);
  timeline.addEventListener("click", (event) => {
    const box = timeline.getBoundingClientRect();
    seek(card, Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) * duration);
  });
  timeline.addEventListener("keydown", (event) => {
    const now = Number(timeline.getAttribute("aria-valuenow"));
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
    let wanted = event.key in steps ? now + steps[event.key] : null;
    if (event.key === "Home" || event.key === "End") wanted = event.key === "Home" ? 0 : duration;
    if (event.key === "Enter" || event.key === " ") wanted = now;
    if (wanted === null) return;
    event.preventDefault();
    seek(card, Math.max(0, Math.min(duration, wanted)));
  });
}
