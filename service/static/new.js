// The page for a new job: resumable uploads, line numbers of the options, and their check while they are typed.
import { announce, csrf, refresh } from "./live.js";

const form = document.getElementById("new-job");
const options = document.getElementById("options");
const gutter = document.querySelector(".gutter");
const uploads = new Set();

// Line numbers; those with a fault are marked.
function number() {
  const faulty = new Set([...document.querySelectorAll("#options-check [data-line]")].map((link) => +link.dataset.line));
  const lines = options.value.split("\n").map((_, index) => {
    const line = document.createElement("span");
    line.textContent = index + 1;
    line.classList.toggle("bad", faulty.has(index + 1));
    return line;
  });
  gutter.replaceChildren(...lines);
  gutter.scrollTop = options.scrollTop;
}

function goToLine(line) {
  const lines = options.value.split("\n");
  const start = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  options.focus();
  options.setSelectionRange(start, start + lines[line - 1].length);
}

// The check: the service returns the page with its faults, and these parts of it replace the shown ones.
const CHECKED = ["options-check", ...[...document.querySelectorAll(".fault[id]")].map((fault) => fault.id)]
  .filter((id) => id !== "fault-model");
let pending = null;
let running = null;
let planning = false;

/** Send the form with an action and show the parts of the answer; return false if it was not answered. */
async function send(action, parts) {
  running?.abort();
  running = new AbortController();
  const body = new URLSearchParams(new FormData(form));
  body.set("action", action);
  try {
    await refresh(parts, "/new", { method: "POST", body, headers: csrf, signal: running.signal });
  } catch (error) {
    if (error.name !== "AbortError") announce("The service did not answer. Try again.");
    return false;
  }
  number();
  return true;
}

async function check() {
  const before = +document.getElementById("options-check").dataset.faults;
  if (!(await send("check", CHECKED))) return;
  const faults = +document.getElementById("options-check").dataset.faults;
  options.toggleAttribute("aria-invalid", false);
  if (faults) options.setAttribute("aria-invalid", "true");
  if (faults !== before) announce(faults ? `${faults} ${faults === 1 ? "fault" : "faults"} in the options` : "The options have no fault");
}

async function plan(button) {
  clearTimeout(pending);
  planning = true;
  button.disabled = true;
  button.textContent = "Planning…";
  announce("Planning");
  let answered;
  do answered = await send("plan", [...CHECKED, "fault-model", "plan"]);
  while (answered && document.getElementById("plan").hasAttribute("data-pending"));
  planning = false;
  button.disabled = false;
  button.textContent = "Plan first";
  checkSoon();
  const title = document.getElementById("plan-title");
  if (title) {
    for (const part of document.querySelectorAll("#plan [hidden]")) part.hidden = false;
    title.focus();
    title.scrollIntoView({ block: "start" });
  } else if (answered) {
    announce("The plan needs a model and a valid spec.");
    (document.getElementById("model").value ? options : document.getElementById("model")).focus();
  }
}

function checkSoon() {
  clearTimeout(pending);
  if (planning) return; // the form is checked after the plan
  pending = setTimeout(check, 500);
}

options.addEventListener("input", () => (number(), checkSoon()));
options.addEventListener("scroll", () => (gutter.scrollTop = options.scrollTop));
form.addEventListener("change", (event) => event.target.type !== "file" && checkSoon());
document.addEventListener("click", (event) => {
  const line = event.target.closest?.("[data-line]")?.dataset.line;
  const preset = event.target.closest?.("[data-preset]")?.dataset.preset;
  if (line) {
    event.preventDefault();
    goToLine(+line);
  } else if (preset) {
    const choice = form.querySelector(`input[name="preset"][value="${preset}"]`);
    choice.checked = true;
    choice.focus();
    checkSoon();
  } else if (event.target.id === "use-spec") {
    options.value = document.getElementById("plan-spec").textContent;
    number();
    options.focus();
    checkSoon();
  }
});
form.addEventListener("submit", (event) => {
  if (event.submitter?.value === "plan") {
    event.preventDefault();
    plan(event.submitter);
  }
  if (uploads.size && event.submitter?.value === "submit") {
    event.preventDefault();
    const message = "Wait for the end of the upload, or cancel it.";
    announce(message);
    for (const zone of uploads) zone.say(message);
  }
});
number();

// Uploads.
function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), 4);
  return `${power ? (bytes / 1000 ** power).toPrecision(3) : bytes} ${units[power]}`;
}

class Zone {
  constructor(element) {
    this.element = element;
    this.input = element.querySelector("input");
    this.select = document.getElementById(element.dataset.field);
    this.panel = element.querySelector(".upload");
    this.bar = element.querySelector("progress");
    this.text = element.querySelector(".upload-text");
    this.message = element.querySelector(".upload-message");
    this.input.addEventListener("change", () => this.input.files.length && this.begin(this.input.files[0]));
    element.querySelector("button").addEventListener("click", () => this.cancel());
    for (const kind of ["dragover", "dragleave", "drop"]) element.addEventListener(kind, (event) => this.drag(event));
    element.hidden = false;
  }

  say(text, fault = false) {
    this.message.textContent = text;
    this.message.classList.toggle("bad", fault);
  }

  drag(event) {
    event.preventDefault();
    this.element.classList.toggle("over", event.type === "dragover");
    if (event.type === "drop" && event.dataTransfer.files.length) this.begin(event.dataTransfer.files[0]);
  }

  async begin(file) {
    if (this.upload) await this.cancel();
    if (!file.size) {
      this.say(`${file.name} is empty. Choose a file with content.`, true);
      return;
    }
    this.name = file.name;
    this.upload = new tus.Upload(file, {
      endpoint: "/v1/uploads",
      headers: csrf,
      metadata: { kind: this.element.dataset.kind, filename: file.name },
      removeFingerprintOnSuccess: true,
      fingerprint: async (source) =>
        ["quantd", this.element.dataset.kind, source.name, source.size, source.lastModified].join("/"),
      onProgress: (sent, total) => this.progress(sent, total),
      onAfterResponse: (request, response) => (this.result = response.getHeader("Content-Location") ?? this.result),
      onSuccess: () => this.end(),
      onError: (error) => this.fail(error),
    });
    this.result = null;
    this.panel.hidden = false;
    uploads.add(this);
    this.say(`Uploading ${file.name}.`);
    const [earlier] = await this.upload.findPreviousUploads();
    if (earlier) this.upload.resumeFromPreviousUpload(earlier);
    this.upload.start();
  }

  progress(sent, total) {
    this.bar.value = sent / total;
    this.text.textContent = sent < total ? `${size(sent)} of ${size(total)}` : "Checking the file";
  }

  async end() {
    const id = this.result?.split("/").pop();
    this.close();
    if (!id) {
      this.say(`${this.name} was sent, but the service named no file. Reload the page.`, true);
      return;
    }
    this.choose(id, this.name);
    this.say(`${this.name} is uploaded and chosen.${await this.describe()}`);
    checkSoon();
  }

  /** Return what the service found in a dataset; nothing for a model. */
  async describe() {
    try {
      const { samples, arrays } = await (await fetch(this.result)).json();
      if (samples === undefined) return "";
      const shapes = arrays.map((array) => `${array.name || "array"} ${array.dtype} ${array.shape.join("×")}`);
      return ` ${samples} samples: ${shapes.join(", ")}.`;
    } catch {
      return ""; // the file is stored all the same
    }
  }

  choose(id, label) {
    for (const zone of zones) {
      if (zone.element.dataset.kind !== this.element.dataset.kind) continue;
      if (![...zone.select.options].some((option) => option.value === id)) zone.select.add(new Option(label, id), 1);
    }
    this.select.value = id;
    document.getElementById(`fault-${this.select.id}`).replaceChildren();
  }

  fail(error) {
    let detail = "The connection was lost. Choose the file again to go on where it stopped.";
    try {
      detail = JSON.parse(error.originalResponse.getBody()).detail;
    } catch {
      // no answer of the service: the connection was lost
    }
    this.close();
    this.say(`${this.name} was not uploaded: ${detail}`, true);
  }

  async cancel() {
    await this.upload?.abort(true).catch(() => undefined);
    this.close();
    this.say(`The upload of ${this.name} was cancelled.`);
  }

  close() {
    uploads.delete(this);
    this.upload = null;
    this.panel.hidden = true;
    this.bar.value = 0;
    this.input.value = "";
  }
}

const zones = [...document.querySelectorAll(".drop")].map((element) => new Zone(element));
