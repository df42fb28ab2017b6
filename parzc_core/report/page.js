// What the page does beyond showing: sort and filter a table, show a cell's notes on hover, focus or tap. Without it all texts stay readable.
"use strict";
document.documentElement.classList.add("js");

const number = (cell) => (cell && cell.dataset.v !== undefined && cell.dataset.v !== "" ? Number(cell.dataset.v) : NaN);

// Cells without a number come last in both directions.
function compare(column, sign) {
  return (a, b) => {
    const [left, right] = [a.cells[column], b.cells[column]];
    if (column === 0) return sign * left.textContent.trim().localeCompare(right.textContent.trim());
    const [x, y] = [number(left), number(right)];
    if (Number.isNaN(x) || Number.isNaN(y)) {
      if (Number.isNaN(x) && Number.isNaN(y)) return sign * left.textContent.trim().localeCompare(right.textContent.trim());
      return Number.isNaN(x) ? 1 : -1;
    }
    return sign * (x - y);
  };
}

function sortable(table) {
  const body = table.tBodies[0], printed = [...body.rows], heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    if (!button.textContent.trim()) button.textContent = column ? "words" : "row";
    button.title = "sort: largest first, smallest first, as printed";
    head.append(button);
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const first = column ? "descending" : "ascending", second = column ? "ascending" : "descending";
      const next = before === first ? second : before === second ? null : first;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (next) head.setAttribute("aria-sort", next);
      const rows = next ? [...printed].sort(compare(column, next === "ascending" ? 1 : -1)) : printed;
      body.append(...rows);
    });
  });
}

function filters(section) {
  const form = section.querySelector("form.tools");
  if (!form) return;
  const { row, verdict, origin } = form.elements, said = form.querySelector("output");
  const rows = [...section.querySelectorAll(".paper-table tbody tr")];
  const apply = () => {
    const text = row.value.trim().toLowerCase(), kind = verdict.value, source = origin.value;
    let left = 0;
    for (const line of rows) {
      let any = !(kind || source);
      for (const cell of line.querySelectorAll("td.cell")) {
        const fits = (!kind || cell.dataset.k === kind) && (!source || cell.dataset.o === source);
        cell.classList.toggle("dim", !fits);
        any = any || fits;
      }
      line.hidden = !(any && line.textContent.toLowerCase().includes(text));
      left += !line.hidden;
    }
    said.textContent = text || kind || source ? `${left} of ${rows.length} rows` : "";
  };
  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
}

// One balloon for all notes: shown beside the cell that is pointed at, held by a tap or a click on its mark.
const balloon = document.createElement("div");
balloon.id = "balloon";
balloon.setAttribute("role", "status");
balloon.hidden = true;
document.body.append(balloon);
let held = null;

function show(cell) {
  balloon.replaceChildren();
  const marks = [...cell.querySelectorAll(".marks a")];
  const more = cell.querySelector(".more");
  const texts = marks.map((mark) => document.getElementById(mark.hash.slice(1)).querySelector("span").textContent);
  if (more) texts.unshift(more.textContent.trim());
  for (const text of texts) {
    const line = document.createElement("p");
    line.textContent = text;
    balloon.append(line);
  }
  balloon.hidden = false;
  const at = cell.getBoundingClientRect(), wide = document.documentElement.clientWidth;
  const below = at.bottom + balloon.offsetHeight + 12 < window.innerHeight;
  balloon.style.left = `${Math.max(8, Math.min(at.left, wide - balloon.offsetWidth - 8))}px`;
  balloon.style.top = `${Math.max(8, below ? at.bottom + 4 : at.top - balloon.offsetHeight - 4)}px`;
}
function hide() { held = null; balloon.hidden = true; }

const noted = (target) => (target instanceof Element ? target.closest(".noted") : null);
document.addEventListener("mouseover", (event) => {
  if (held) return;
  const cell = noted(event.target);
  if (cell) show(cell); else balloon.hidden = true;
});
document.addEventListener("focusin", (event) => { if (event.target.closest(".info")) show(noted(event.target)); });
document.addEventListener("focusout", (event) => { if (event.target.closest(".info")) hide(); });
document.addEventListener("click", (event) => {
  const cell = noted(event.target);
  if (!cell || held === cell) return hide();
  held = cell;
  show(cell);
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
document.addEventListener("scroll", hide, { capture: true, passive: true });

for (const cell of document.querySelectorAll(".noted")) {
  const info = document.createElement("button");
  info.type = "button";
  info.className = "info";
  info.textContent = "i";
  info.setAttribute("aria-label", "note");
  cell.querySelector(".tail").append(info);
}
document.querySelectorAll(".paper-table").forEach(sortable);
document.querySelectorAll("section.table").forEach(filters);
// The list of notes is closed, as each stands at its cell; a link to a line of it opens it.
document.querySelectorAll("details.notes").forEach((list) => { list.open = false; });
