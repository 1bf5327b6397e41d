"use strict";
// The report page is complete without this script. It adds sorting, searching, rows that open, copying and the CSV file.
(() => {
  const root = document.documentElement;
  const find = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  root.classList.add("js");

  // Copy buttons
  const copyText = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = document.createElement("textarea"); // for pages without the clipboard's permission
      area.value = text;
      area.setAttribute("aria-hidden", "true");
      document.body.append(area);
      area.select();
      const copied = document.execCommand("copy");
      area.remove();
      return copied;
    }
  };
  for (const block of all("pre.spec")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy ${block.dataset.label}`);
    button.addEventListener("click", async () => {
      const copied = await copyText(block.textContent);
      button.focus();
      button.textContent = copied ? "Copied" : "Select the text and copy it";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    block.after(button);
  }

  const table = find("table.layers");
  if (!table) return;
  const rows = all(":scope > tbody", table);
  const status = find("#layers-status");

  // Rows that open
  const setOpen = (row, open) => {
    row.classList.toggle("open", open);
    find("a.name", row).setAttribute("aria-expanded", String(open));
    const details = find(".detail > details", row);
    if (details) details.open = open;
  };
  for (const row of rows) {
    const link = find("a.name", row);
    link.setAttribute("role", "button");
    link.setAttribute("aria-controls", find("tr.more", row).id);
    link.addEventListener("click", (event) => {
      event.preventDefault();
      setOpen(row, !row.classList.contains("open"));
    });
    link.addEventListener("keydown", (event) => {
      if (event.key === " ") {
        event.preventDefault();
        link.click();
      }
    });
    setOpen(row, false);
  }
  const reveal = (row) => {
    row.hidden = false;
    setOpen(row, true);
    row.scrollIntoView({ block: "start" });
    find("a.name", row).focus({ preventScroll: true });
  };
  const revealTarget = () => {
    const row = /^#layer-\d+$/.test(location.hash) && find(location.hash);
    if (row) reveal(row);
  };
  addEventListener("hashchange", revealTarget);
  for (const link of all("a[href^='#layer-']:not(.name)")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const row = find(link.getAttribute("href"));
      if (row) reveal(row);
    });
  }
  const openAll = find("#open-all");
  openAll.addEventListener("click", () => {
    const open = openAll.textContent === "Open all";
    rows.filter((row) => !row.hidden).forEach((row) => setOpen(row, open));
    openAll.textContent = open ? "Close all" : "Open all";
  });

  // Sorting: by `data-value` of the cells; rows without a value come last
  const headings = all(":scope > thead th", table);
  const valueOf = (row, column) => row.rows[0].cells[column].dataset.value ?? row.rows[0].cells[column].textContent;
  const sortBy = (column, descending) => {
    const numeric = headings[column].classList.contains("n");
    const sign = descending ? -1 : 1;
    const compare = (a, b) => {
      const [left, right] = [valueOf(a, column), valueOf(b, column)];
      if (left === "" || right === "") return (left === "") - (right === "");
      return sign * (numeric ? left - right : left.localeCompare(right, "en", { numeric: true }));
    };
    table.append(...[...rows].sort((a, b) => compare(a, b) || a.dataset.number - b.dataset.number));
    headings.forEach((heading) => heading.removeAttribute("aria-sort"));
    headings[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
  };
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const sorted = heading.getAttribute("aria-sort");
      sortBy(column, sorted ? sorted === "ascending" : "first" in heading.dataset && heading.dataset.first === "descending");
      status.textContent = `Sorted by ${button.textContent.trim()}, ${heading.getAttribute("aria-sort")}`;
    });
  });

  // Search and filter
  const search = find("#layers-search");
  const operator = find("#layers-operator");
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = row.rows[0].textContent.toLowerCase();
      row.hidden = !(words.every((word) => text.includes(word)) && (!operator.value || row.dataset.op === operator.value));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    status.textContent = `${shown} of ${rows.length} layers shown`;
  };
  search.addEventListener("input", filter);
  operator.addEventListener("input", filter);

  // CSV
  find("#layers-csv").addEventListener("click", () => {
    const { csv, name } = JSON.parse(find("#layers-data").textContent);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
  find(".tools").hidden = false;

  // The drawing along the network: the layer below the pointer is named, and opens when it is pressed
  const drawing = find("svg.wide");
  const readout = find(".readout");
  if (drawing && readout) {
    readout.hidden = false;
    const { start, end, count, height } = Object.fromEntries(Object.entries(drawing.dataset).map(([key, value]) => [key, Number(value)]));
    const cursor = document.createElementNS("http://www.w3.org/2000/svg", "path");
    cursor.setAttribute("class", "cursor");
    drawing.append(cursor);
    const byNumber = new Map(rows.map((row) => [Number(row.dataset.number), row]));
    const numberAt = (event) => {
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse());
      return Math.min(Math.max(Math.ceil((point.x - start) / (end - start) * count), 1), count);
    };
    drawing.addEventListener("pointermove", (event) => {
      const number = numberAt(event);
      const x = start + (number - 0.5) * (end - start) / count;
      cursor.setAttribute("d", `M${x} 0V${height}`);
      const cells = [...byNumber.get(number).rows[0].cells];
      readout.textContent = cells.map((cell, column) => column < 2 ? cell.textContent.trim() : `${headings[column].textContent.trim()} ${cell.textContent.trim()}`).join(" · ");
    });
    drawing.addEventListener("click", (event) => reveal(byNumber.get(numberAt(event))));
  }
  revealTarget();
})();
