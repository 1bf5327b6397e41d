// The list of jobs: live progress, and the choice of two jobs to compare.
import { announce, follow, refresh } from "./live.js";

function update(state) {
  const row = document.getElementById(`row-${state.id}`);
  const shown = row?.querySelector(".state");
  if (!row?.hasAttribute("data-open")) return;
  if (state.final) {
    row.removeAttribute("data-open");
    announce(`${row.querySelector("th a").textContent}: ${state.text}`);
    refresh([row.id, "counts"]);
    return;
  }
  shown.className = `state ${state.status}`;
  shown.querySelector(".state-text").textContent = state.text;
  let bar = shown.querySelector("progress");
  if (state.fraction === null) {
    bar?.remove();
    return;
  }
  if (!bar) {
    bar = document.createElement("progress");
    bar.max = 1;
    bar.setAttribute("aria-label", `Progress of the stage, ${row.querySelector("th a").textContent}`);
    shown.append(bar);
  }
  bar.value = state.fraction;
}

let stop = () => undefined;

/** Follow the open jobs of the table. */
function start() {
  stop();
  stop = () => undefined;
  const open = [...document.querySelectorAll("tr[data-open]")].map((row) => row.dataset.job);
  if (!open.length) return;
  const end = follow(`/jobs/events?${new URLSearchParams(open.map((id) => ["job", id]))}`, {
    job: (event) => update(JSON.parse(event.data)),
    end: () => end(),
  });
  stop = end;
}
start();

// Jobs may have begun while the page was hidden.
document.addEventListener("visibilitychange", async () => {
  if (document.hidden || !document.getElementById("jobs")) return;
  await refresh(["counts", "jobs"]);
  start();
});

const button = document.getElementById("compare-button");
function count() {
  const chosen = document.querySelectorAll('input[name="job"]:checked').length;
  button.disabled = chosen !== 2;
  document.getElementById("compare-hint").textContent =
    chosen === 0 ? "Select two jobs to compare them." : chosen === 2 ? "" : `${chosen} selected; select two.`;
}
if (button) {
  document.addEventListener("change", (event) => event.target.name === "job" && count());
  count();
}
