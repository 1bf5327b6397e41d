// A job's page: live progress and log until its end, and buttons that copy.
import { announce, follow, refresh } from "./live.js";

const job = document.getElementById("job");
const parse = (id) => id.split("-").map(Number);
let last = document.getElementById("log").dataset.last;
let stage = null;
let stop = () => undefined;

/** Return true for an event that the page does not show yet; a stream that is opened again repeats the earlier ones. */
function isNew(event) {
  const [time, place] = parse(event.lastEventId);
  const [lastTime, lastPlace = 0] = parse(last);
  if (time < lastTime || (time === lastTime && place <= lastPlace)) return false;
  last = event.lastEventId;
  return true;
}

function onProgress(event) {
  if (!isNew(event)) return;
  const progress = JSON.parse(event.data);
  if (progress.stage !== stage) {
    stage = progress.stage;
    announce(`Stage: ${stage}`);
    refresh(["progress"]);
    return;
  }
  const bar = document.getElementById("stage-bar");
  if (!bar) return;
  bar.value = progress.fraction;
  const numbers = `${progress.done} of ${progress.total}`;
  const { message } = progress;
  document.getElementById("stage-message").textContent =
    message.includes(numbers) ? message : message ? `${numbers}: ${message}` : numbers;
}

function onLog(event) {
  if (!isNew(event)) return;
  const { level, message } = JSON.parse(event.data);
  const line = document.createElement("div");
  if (level === "warning") line.className = "warn";
  const time = document.createElement("span");
  time.className = "muted";
  time.textContent = new Date(parse(event.lastEventId)[0]).toISOString().slice(11, 19);
  line.append(time, ` ${message}`);
  document.getElementById("log").append(line);
  document.getElementById("log-section").hidden = false;
}

async function onState(event) {
  const state = JSON.parse(event.data);
  if (state.final) stop();
  if (!isNew(event)) return;
  announce(`The job is now ${state.status}`);
  await refresh([state.final ? "job" : "progress"]);
  if (state.final) prepare();
}

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    announce("Copied");
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1500);
  } catch {
    announce("The browser does not permit to copy. Select the text instead.");
  }
}

/** Show the buttons that copy; without a script they would do nothing. */
function prepare() {
  for (const button of document.querySelectorAll("[data-copy], [data-copy-link]")) button.hidden = false;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button");
  if (button?.dataset.copy) copy(button, document.getElementById(button.dataset.copy).textContent);
  if (button?.dataset.copyLink) copy(button, document.getElementById(button.dataset.copyLink).href);
});
prepare();

if (job.hasAttribute("data-open")) {
  stage = document.querySelector("#stages [aria-current] span")?.textContent ?? null;
  stop = follow(`/v1/jobs/${job.dataset.job}/events`, { progress: onProgress, log: onLog, state: onState });
  const waiting = setInterval(() => {
    const queued = document.querySelector("#job[data-open] .now-text") && !document.querySelector("#stages .current");
    if (queued && !document.hidden) refresh(["progress"]);
    else if (!queued) clearInterval(waiting);
  }, 10_000);
}
