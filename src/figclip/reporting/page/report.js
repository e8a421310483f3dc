"use strict";
// The page is whole without this: it adds a tooltip that follows the pointer, and lets clips play
// while they are in view, unless the reader prefers reduced motion.

const tooltip = document.createElement("div");
tooltip.className = "tooltip";
tooltip.setAttribute("aria-hidden", "true");
document.body.append(tooltip);
for (const title of document.querySelectorAll(".tip title")) title.remove();

function place(event) {
  const mark = event.target.closest && event.target.closest("[data-tip]");
  tooltip.classList.toggle("shown", Boolean(mark));
  if (!mark) return;
  tooltip.textContent = mark.dataset.tip;
  const box = tooltip.getBoundingClientRect();
  const room = document.documentElement.clientWidth - box.width - 8;
  tooltip.style.left = `${Math.max(8, Math.min(event.clientX + 12, room))}px`;
  const above = event.clientY - box.height - 12;
  tooltip.style.top = `${above < 8 ? event.clientY + 16 : above}px`;
}
document.addEventListener("pointermove", place);
document.addEventListener("pointerdown", place);
document.addEventListener("scroll", () => tooltip.classList.remove("shown"), { passive: true });

// Instead of the browser's controls, which hide half of a small clip: one button on each, one for all.
const clips = [...document.querySelectorAll("video")];
const all = document.querySelector(".play-all");
let playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
const inView = new Set();

function say(button, clip, number) {
  button.textContent = clip.paused ? "\u25B6" : "\u275A\u275A";
  button.setAttribute("aria-label", `${clip.paused ? "Play" : "Pause"} clip ${number}`);
}
clips.forEach((clip, i) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "toggle";
  const toggle = () => (clip.paused ? clip.play().catch(() => {}) : clip.pause());
  button.addEventListener("click", toggle);
  clip.addEventListener("click", toggle);
  for (const kind of ["play", "pause"]) clip.addEventListener(kind, () => say(button, clip, i + 1));
  clip.controls = false;
  clip.after(button);
  say(button, clip, i + 1);
});

function update() {
  all.textContent = playing ? "Pause clips" : "Play clips";
  for (const clip of clips) {
    if (playing && inView.has(clip)) clip.play().catch(() => {});
    else clip.pause();
  }
}
if (clips.length) {
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) inView.add(entry.target);
      else inView.delete(entry.target);
      if (!entry.isIntersecting) entry.target.pause();
      else if (playing) entry.target.play().catch(() => {});
    }
  }, { threshold: 0.4 });
  for (const clip of clips) watcher.observe(clip);
  all.hidden = false;
  all.textContent = playing ? "Pause clips" : "Play clips";
  all.addEventListener("click", () => {
    playing = !playing;
    update();
  });
}
