// Runs once for each part of the page that is HTML: clicks become events of gradio, files are sent,
// moments play. `element`, `trigger` and `watch` are gradio's.
const note = (text, isProblem) => {
  const place = element.querySelector(".upload-note");
  place.textContent = text;
  place.classList.toggle("problem", isProblem);
};
let focused = null;
const send = (data) => {
  focused = document.activeElement?.dataset?.key ?? null;
  trigger("click", data);
};
const play = (button) => {
  const video = button.querySelector("video");
  if (!video.src) video.src = video.dataset.src;
  const isStarting = video.paused;
  for (const other of element.querySelectorAll("[data-play][aria-pressed=true]")) {
    other.setAttribute("aria-pressed", "false");
    other.querySelector("video").pause();
  }
  if (isStarting) video.play().catch(() => {});
  button.setAttribute("aria-pressed", String(isStarting));
};
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.seek) {
    const video = element.querySelector("video");
    if (video) video.currentTime = Number(button.dataset.seek);
  }
  if (button.dataset.send) send(JSON.parse(button.dataset.send));
  if ("play" in button.dataset) play(button);
});
element.addEventListener("change", async (event) => {
  const input = event.target.closest("[data-upload]");
  if (!input || !input.files.length) return;
  note("Sending …", false);
  try {
    const answer = await fetch("/media", { method: "POST", body: input.files[0] });
    const said = await answer.json();
    if (answer.ok) send({ medium: said.token });
    else note(said.detail, true);
  } catch {
    note("It could not be sent. Is it too large, or has the page's program ended?", true);
  }
  input.value = "";
});
watch("value", () => {
  if (focused) element.querySelector(`[data-key="${focused}"], [tabindex="-1"]`)?.focus();
  focused = null;
});
