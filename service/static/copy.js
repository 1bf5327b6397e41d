// Buttons that copy: data-copy="id" copies the text of that element, data-copy-link="id" the whole address of that link.
// The buttons are hidden in the page and appear here, since they do nothing without scripts.

async function write(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea"); // plain http to another machine has no clipboard
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("the browser refused");
}

const said = document.createElement("p");
said.className = "hidden";
said.setAttribute("role", "status");
document.body.append(said);

for (const button of document.querySelectorAll("[data-copy], [data-copy-link]")) {
  const label = button.innerHTML;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const { copy, copyLink } = button.dataset;
    const text = copy ? document.getElementById(copy).textContent : document.getElementById(copyLink).href;
    try {
      await write(text);
      said.textContent = button.textContent = "Copied";
    } catch {
      said.textContent = button.textContent = "Select the text and copy it yourself";
    }
    setTimeout(() => { button.innerHTML = label; said.textContent = ""; }, 2000);
  });
}
