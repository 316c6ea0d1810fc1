"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  const make = (tag, text, name) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (name) element.className = name;
    return element;
  };

  // --- filters ---
  const cases = all(".case");
  const chosen = new Set();
  const selects = { area: one("#area"), draft: one("#draft"), level: one("#level") };
  const search = one("#search");

  function matches(item, words) {
    return (chosen.size === 0 || chosen.has(item.dataset.verdict))
      && (!selects.area.value || item.parentElement.dataset.area === selects.area.value)
      && (!selects.draft.value || item.dataset.draft === selects.draft.value)
      && (!selects.level.value || item.dataset.levels.split(" ").includes(selects.level.value))
      && words.every((word) => item.dataset.search.includes(word));
  }

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const item of cases) {
      item.hidden = !matches(item, words);
      count += item.hidden ? 0 : 1;
    }
    for (const area of all(".area")) area.hidden = !one(".case:not([hidden])", area);
    one("#shown").textContent = count === cases.length ? `${count} cases` : `${count} of ${cases.length}`;
    one("#nothing").hidden = count > 0;
  }

  for (const tile of all(".tile")) {
    tile.addEventListener("click", () => {
      const verdict = tile.dataset.verdict;
      if (!chosen.delete(verdict)) chosen.add(verdict);
      tile.setAttribute("aria-pressed", String(chosen.has(verdict)));
      filter();
    });
  }
  for (const select of Object.values(selects)) select.addEventListener("change", filter);
  search.addEventListener("input", filter);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !["INPUT", "SELECT"].includes(document.activeElement.tagName)) {
      event.preventDefault();
      search.focus();
    }
  });
  one("#unfold").addEventListener("click", (event) => {
    const shown = cases.filter((item) => !item.hidden);
    const open = shown.some((item) => !item.open);
    for (const item of shown) item.open = open;
    event.target.textContent = open ? "Close all" : "Open all";
  });

  // --- theme ---
  const root = document.documentElement;
  const stored = () => { try { return localStorage.getItem("wtconform-theme"); } catch { return null; } };
  if (stored()) root.dataset.theme = stored();
  one("#theme").addEventListener("click", () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("wtconform-theme", root.dataset.theme); } catch { /* not kept */ }
  });

  // --- copy ---
  function copyBySelection(element) {
    const range = document.createRange();
    range.selectNodeContents(element);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    document.execCommand("copy");
    selection.removeAllRanges();
  }
  for (const button of all(".copy")) {
    button.addEventListener("click", async () => {
      const code = one("code", button.parentElement);
      try {
        await navigator.clipboard.writeText(code.textContent);
      } catch {
        copyBySelection(code);
      }
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  // --- wire log ---
  const LAYERS = { packet: "packets", frame: "frames", quic: "QUIC", h3: "HTTP/3", wt: "WebTransport" };
  const HARD = new Set(["ConnectionClosed", "StreamReset", "StopSending", "Malformed"]);

  function drawRows(body, log, shown) {
    const start = log.rows.length ? log.rows[0][0] : 0;
    const fragment = document.createDocumentFragment();
    for (const [time, sent, layer, name, stream, details] of log.rows) {
      if (!shown.has(layer)) continue;
      const row = make("tr", undefined, sent ? "sent" : "received");
      if (!sent && HARD.has(name)) row.className = "hard";
      row.append(
        make("td", (time - start).toFixed(2), "number"), make("td", sent ? "→" : "←"), make("td", layer),
        make("td", name), make("td", stream, "number"), make("td", details));
      fragment.append(row);
    }
    body.replaceChildren(fragment);
  }

  function drawLog(place, logs) {
    const shown = new Set(["quic", "h3", "wt"]);
    let current = logs.find((log) => log.label.startsWith("case")) ?? logs[0];
    const tools = make("div", undefined, "tools");
    const scroll = make("div", undefined, "scroll");
    const table = make("table");
    const head = make("tr");
    for (const [text, name] of [["ms", "number"], ["", ""], ["layer", ""], ["event", ""], ["stream", "number"], ["details", ""]]) {
      head.append(make("th", text, name));
    }
    const thead = make("thead");
    thead.append(head);
    const body = make("tbody");
    const cut = make("div", undefined, "cut");
    table.append(thead, body);
    scroll.append(table, cut);
    const draw = () => {
      drawRows(body, current, shown);
      const parts = [];
      if (current.omitted) parts.push(`… ${current.omitted} more events are in the evidence file`);
      if (current.dropped) parts.push(`… ${current.dropped} more events were not kept`);
      cut.textContent = parts.join("; ");
      cut.hidden = parts.length === 0;
    };
    const tabs = logs.map((log) => {
      const tab = make("button", `${log.label} (${log.count})`);
      tab.type = "button";
      tab.setAttribute("aria-pressed", String(log === current));
      tab.addEventListener("click", () => {
        current = log;
        tabs.forEach((other, index) => other.setAttribute("aria-pressed", String(logs[index] === current)));
        draw();
      });
      return tab;
    });
    tools.append(...tabs, make("span", "→ sent by the suite   ← received", "kind"), make("span", undefined, "gap"));
    for (const [layer, label] of Object.entries(LAYERS)) {
      const toggle = make("button", label);
      toggle.type = "button";
      toggle.dataset.layer = layer;
      toggle.setAttribute("aria-pressed", String(shown.has(layer)));
      toggle.addEventListener("click", () => {
        if (!shown.delete(layer)) shown.add(layer);
        toggle.setAttribute("aria-pressed", String(shown.has(layer)));
        draw();
      });
      tools.append(toggle);
    }
    place.replaceChildren(tools, scroll);
    draw();
  }

  for (const item of cases) {
    item.addEventListener("toggle", () => {
      const data = one("script[type='application/json']", item);
      if (!item.open || !data || data.dataset.drawn) return;
      data.dataset.drawn = "yes";
      drawLog(one(".log", item), JSON.parse(data.textContent));
    });
  }

  // --- links to a case: #ID ---
  function openLinked() {
    const id = decodeURIComponent(location.hash.slice(1));
    const item = id && cases.find((entry) => entry.dataset.id === id);
    if (!item) return;
    item.open = true;
    item.scrollIntoView();
  }
  addEventListener("hashchange", openLinked);
  openLinked();
})();
