"use strict";

// Sorting: by numbers where the column has them, cells without a value always last.
const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

function sortBy(heading) {
  const table = heading.closest("table");
  const body = table.tBodies[0];
  const column = heading.cellIndex;
  const numeric = heading.classList.contains("number");
  const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const keyed = Array.from(body.rows, (row) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? (numeric ? "" : cell.textContent);
    return { row, text, value: numeric ? Number(text) : text };
  });
  keyed.sort((left, right) => {
    if (left.text === "" || right.text === "") return (left.text === "") - (right.text === "");
    return sign * (numeric ? left.value - right.value : collator.compare(left.value, right.value));
  });
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  body.append(...keyed.map((item) => item.row));
}

for (const heading of document.querySelectorAll(".sortable thead th")) {
  heading.querySelector("button").addEventListener("click", () => sortBy(heading));
}

// One recording plays at a time, from the table or from its controls.
const rowPlayer = new Audio();
let rowButton = null;

function stopRow() {
  rowPlayer.pause();
  if (rowButton) rowButton.textContent = "\u25b6";
  rowButton = null;
}

for (const button of document.querySelectorAll("button.play")) {
  button.addEventListener("click", () => {
    const again = button === rowButton;
    stopRow();
    if (again) return;
    for (const player of document.querySelectorAll("audio")) player.pause();
    rowButton = button;
    button.textContent = "\u25a0";
    rowPlayer.src = button.dataset.audio;
    rowPlayer.play().catch(stopRow);
  });
}
rowPlayer.addEventListener("ended", stopRow);
document.addEventListener("play", (event) => {
  stopRow();
  for (const player of document.querySelectorAll("audio")) if (player !== event.target) player.pause();
}, true);

// A link of the table opens its case.
function openCase() {
  const target = document.getElementById(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") {
    target.open = true;
    target.scrollIntoView();
  }
}
window.addEventListener("hashchange", openCase);
openCase();
