// Enhancement only: without it the page has every number. Adds filters and sorting to the index,
// opens what is closed before printing, and opens the part of the page that a link leads into.
(() => {
  const open = (node) => { for (; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true; };
  const arrive = () => open(document.getElementById(decodeURIComponent(location.hash.slice(1))));
  addEventListener("hashchange", arrive);
  arrive();
  addEventListener("beforeprint", () => document.querySelectorAll(".sa-evidence").forEach((d) => { d.open = true; }));

  // Only what scrolls is a stop for the keyboard.
  const tend = () => document.querySelectorAll(".sa-scroll").forEach((n) => {
    if (!n.offsetParent) return;
    if (n.scrollWidth > n.clientWidth || n.scrollHeight > n.clientHeight) n.tabIndex = 0;
    else n.removeAttribute("tabindex");
  });
  addEventListener("resize", tend);
  document.addEventListener("toggle", tend, true);
  tend();

  const table = document.getElementById("sa-index");
  if (!table) return;
  const body = table.tBodies[0], rows = [...body.rows];
  const powers = "⁰¹²³⁴⁵⁶⁷⁸⁹", sizes = { k: 1e3, M: 1e6, B: 1e9, T: 1e12 };
  const number = (text) => {
    const found = text.replace("−", "-").match(/^<?\s*(-?[\d.]+)\s*(?:×\s*10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))?\s*([kMBT])?/);
    if (!found) return null;
    const lone = text.match(/^10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)/);
    const raised = (lone || [])[1] || found[2] || "";
    const exponent = [...raised].map((c) => (c === "⁻" ? "-" : powers.indexOf(c))).join("");
    return (lone ? 1 : +found[1]) * 10 ** (+exponent || 0) * (sizes[found[3]] || 1);
  };
  const sort = (column, down) => {
    const keyed = rows.map((row, i) => { const text = row.cells[column].textContent.trim(); return [number(text), text, i, row]; });
    const missing = ([n, text]) => n === null && (text === "" || text === "—");
    keyed.sort((a, b) => missing(a) - missing(b) || (down ? -1 : 1) *
      (a[0] !== null && b[0] !== null && column > 5 ? a[0] - b[0] : a[1].localeCompare(b[1], undefined, { numeric: true })) || a[2] - b[2]);
    body.append(...keyed.map((k) => k[3]));
  };
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (column === 0 || column === 10) return;
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", `Sort by ${head.textContent}`);
    button.textContent = "↕";
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((h) => { h.removeAttribute("aria-sort"); const b = h.querySelector("button"); if (b) b.textContent = "↕"; });
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      button.textContent = down ? "↓" : "↑";
      sort(column, down);
    });
    head.append(" ", button);
  });

  const bar = document.createElement("div");
  bar.className = "sa-filter";
  const label = document.createElement("label");
  label.textContent = "Show findings with ";
  const input = document.createElement("input");
  input.type = "search";
  label.append(input);
  const words = table.dataset.words.split(" ").filter(Boolean);
  const hidden = new Set();
  const count = document.createElement("span");
  count.setAttribute("role", "status");
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const apply = () => {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => {
      row.hidden = hidden.has(row.cells[1].textContent.trim()) || !wanted.every((w) => texts[i].includes(w));
      shown += !row.hidden;
    });
    count.textContent = `${shown} of ${rows.length} shown`;
  };
  input.addEventListener("input", apply);
  bar.append(label);
  if (words.length > 1) words.forEach((word) => {
    const toggle = document.createElement("button");
    toggle.type = "button";
    toggle.textContent = word;
    toggle.setAttribute("aria-pressed", "true");
    toggle.addEventListener("click", () => {
      hidden.has(word) ? hidden.delete(word) : hidden.add(word);
      toggle.setAttribute("aria-pressed", String(!hidden.has(word)));
      apply();
    });
    bar.append(toggle);
  });
  bar.append(count);
  if (rows.length > 6) table.closest(".sa-scroll").before(bar);
})();
