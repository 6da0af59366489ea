"use strict";
(() => {
  const all = (query, within = document) => [...within.querySelectorAll(query)];

  // The theme: the system's until the reader chooses; what is chosen is kept where the browser allows that.
  const root = document.documentElement;
  const kept = {
    get: () => { try { return localStorage.getItem("muxflow-theme"); } catch { return null; } },
    set: (theme) => { try { localStorage.setItem("muxflow-theme", theme); } catch { /* a page from disk may keep nothing */ } },
  };
  const chosen = kept.get();
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  const button = document.querySelector(".switch");
  button.hidden = false;
  button.addEventListener("click", () => {
    const now = root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    kept.set(root.dataset.theme);
  });

  // Tables: a click on a title sorts, numbers by value; words filter rows.
  const words = new Intl.Collator("en", { numeric: true });
  const value = (row, column) => row.cells[column].textContent.replaceAll(",", "").trim();
  const number = (text) => { const found = parseFloat(text); return Number.isNaN(found) ? -Infinity : found; };
  for (const table of all("table.sortable")) {
    const body = table.tBodies[0];
    const titles = [...table.tHead.rows[0].cells];
    titles.forEach((title, column) => {
      const sort = document.createElement("span");  // a button's text is not printed again on the next page
      sort.setAttribute("role", "button");
      sort.tabIndex = 0;
      sort.textContent = title.textContent;
      title.replaceChildren(sort);
      const numeric = title.classList.contains("number");
      sort.addEventListener("click", () => {
        const down = numeric ? title.ariaSort !== "descending" : title.ariaSort === "ascending";
        for (const other of titles) other.removeAttribute("aria-sort");
        title.setAttribute("aria-sort", down ? "descending" : "ascending");
        const compare = (a, b) => numeric ? number(a) - number(b) : words.compare(a, b);
        const rows = [...body.rows].sort((a, b) => (down ? -1 : 1) * compare(value(a, column), value(b, column)) || 0);
        body.append(...rows);
      });
      sort.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort.click(); }
      });
    });
    if (body.rows.length > 12) {
      const filter = document.createElement("input");
      filter.type = "search";
      filter.className = "filter";
      filter.placeholder = `filter ${body.rows.length} rows`;
      filter.setAttribute("aria-label", filter.placeholder);
      filter.addEventListener("input", () => {
        const sought = filter.value.toLowerCase().split(/\s+/);
        for (const row of body.rows) {
          const text = row.textContent.toLowerCase();
          row.hidden = !sought.every((word) => text.includes(word));
        }
      });
      table.parentElement.before(filter);
    }
  }

  // The drawing: a click on a node shows its row of the table, and the FIFOs at its ends.
  const details = document.getElementById("details");
  const close = () => { details.hidden = true; for (const one of all(".chosen")) one.classList.remove("chosen"); };
  const make = (tag, text) => { const made = document.createElement(tag); made.textContent = text; return made; };
  const choose = (node) => {
    close();
    const row = document.getElementById(`node-${node}`);
    const wires = all(`.wire[data-writer="${node}"], .wire[data-reader="${node}"]`);
    for (const one of [row, ...wires, ...all(`.node[data-node="${node}"]`)]) one.classList.add("chosen");
    const titles = [...row.parentElement.parentElement.tHead.rows[0].cells];
    const facts = document.createElement("dl");
    [...row.cells].slice(1).forEach((cell, at) => {
      if (cell.textContent) facts.append(make("dt", titles[at + 1].textContent), make("dd", cell.textContent));
    });
    const fifos = document.createElement("ul");
    fifos.append(...[...new Set(wires.map((wire) => wire.querySelector("title").textContent))].map((text) => make("li", text)));
    const link = make("a", "its row in the table");
    link.href = `#node-${node}`;
    const shut = make("button", "close");
    shut.type = "button";
    shut.className = "close";
    shut.addEventListener("click", close);
    details.replaceChildren(make("h3", row.cells[0].textContent), shut, facts, fifos, link);
    details.hidden = false;
  };
  for (const node of all(".node")) {
    node.addEventListener("click", (event) => { event.preventDefault(); choose(node.dataset.node); });
  }
  addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  const contents = document.querySelector("nav details");
  if (matchMedia("(max-width: 60rem)").matches) contents.open = false;
})();
