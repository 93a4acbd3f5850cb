/* Pages work without this script; it copies, listens to keys, keeps the clock, and polls live pages. */
(function () {
  "use strict";
  const one = (selector, root) => (root || document).querySelector(selector);
  const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));

  /* -- what only works with script is shown by it ---------------------------------------------------------- */
  function enhance(root) {
    all("[data-copy]", root).forEach((button) => { button.hidden = false; });
    all("[data-noscript]", root).forEach((button) => { button.hidden = true; });
    all("[data-keys]", root).forEach((hint) => { hint.hidden = false; });
  }

  /* -- copy: the command, not the answer ------------------------------------------------------------------- */
  function copied(button) {
    const before = button.textContent;
    button.textContent = "✓ Copied";
    button.classList.add("done");
    setTimeout(() => { button.textContent = before; button.classList.remove("done"); }, 2000);
  }

  function copy(button) {
    const source = one("[data-copy-text]", button.parentElement);
    const words = button.dataset.copy || source.textContent;
    if (navigator.clipboard) {
      navigator.clipboard.writeText(words).then(() => copied(button), () => select(source));
    } else {
      select(source); /* no clipboard outside HTTPS: the reader copies what is selected */
    }
  }

  function select(node) {
    if (node) { window.getSelection().selectAllChildren(node); }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button && "copy" in button.dataset) { copy(button); }
    if (button && "keyHelp" in button.dataset) { one("#keys").showModal(); }
    if (button && "close" in button.dataset) { button.closest("dialog").close(); }
    const link = event.target.closest("a[data-field-link]");
    if (link) {
      event.preventDefault();
      const field = document.getElementById("in-" + link.dataset.fieldLink);
      if (field) { field.focus(); }
    }
    all("details.person[open], details.menu[open]").forEach((menu) => {
      if (!menu.contains(event.target)) { menu.open = false; }
    });
  });

  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-filters]");
    if (form && event.target.tagName === "SELECT") { form.requestSubmit(); }
    if ("keysOn" in event.target.dataset) { localStorage.setItem("hanse-keys", event.target.checked ? "on" : "off"); }
  });

  /* empty filters stay out of the address */
  document.addEventListener("submit", (event) => {
    if (event.target.matches("form[data-filters]")) {
      all("input, select", event.target).forEach((field) => { field.disabled = field.value === ""; });
      setTimeout(() => all("input, select", event.target).forEach((field) => { field.disabled = false; }));
    }
  });

  /* -- keys ------------------------------------------------------------------------------------------------ */
  let went = 0;
  const typing = (node) => node.closest("input, textarea, select, [contenteditable], dialog[open]");
  const rows = () => all("main tbody tr, main .list > li").filter((row) => one("a[href]", row));

  function move(step) {
    const every = rows();
    const at = every.findIndex((row) => row.classList.contains("at"));
    const next = every[Math.max(0, Math.min(every.length - 1, at + step))];
    if (!next) { return; }
    if (at >= 0) { every[at].classList.remove("at"); }
    next.classList.add("at");
    one("a[href]", next).focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }

  function press(key) {
    const seen = (node) => node.offsetParent !== null;
    const target = all('[data-key="' + key + '"]').find(seen);
    if (!target) { return false; }
    if (target.tagName === "INPUT") { target.focus(); target.select(); } else { target.click(); }
    return true;
  }

  function pick() {
    const box = one('tr.at input[type="checkbox"], li.at input[type="checkbox"]');
    if (box) { box.click(); }
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) { return; }
    if (event.key === "?") { event.preventDefault(); one("#keys").showModal(); return; }
    if (localStorage.getItem("hanse-keys") === "off") { return; }
    if (went && Date.now() - went < 1500) {
      went = 0;
      const go = one('.bar a[data-go="' + CSS.escape(event.key) + '"]');
      if (go) { event.preventDefault(); window.location.assign(go.href); }
      return;
    }
    if (event.key === "g") { went = Date.now(); }
    else if (event.key === "j") { move(1); }
    else if (event.key === "k") { move(-1); }
    else if (event.key === "x") { pick(); }
    else if ("/fap".includes(event.key) && press(event.key)) { event.preventDefault(); }
  });

  /* -- 90-day bar: arrow keys move a day, the tip says it ------------------------------------------------------ */
  function showDay(bar, day) {
    all(".day.at", bar).forEach((other) => other.classList.remove("at"));
    const tip = bar.nextElementSibling;
    tip.hidden = !day;
    if (day) { day.classList.add("at"); tip.textContent = day.dataset.tip; }
  }

  document.addEventListener("keydown", (event) => {
    const bar = event.target.closest("[data-days]");
    if (!bar || !["ArrowLeft", "ArrowRight", "Enter", "Escape"].includes(event.key)) { return; }
    const days = all(".day", bar);
    const at = days.findIndex((day) => day.classList.contains("at"));
    if (event.key === "Enter") { if (at >= 0 && days[at].dataset.url) { window.location.assign(days[at].dataset.url); } return; }
    if (event.key === "Escape") { showDay(bar, null); return; }
    event.preventDefault();
    const step = event.key === "ArrowLeft" ? -1 : 1;
    showDay(bar, days[at < 0 ? days.length - 1 : Math.max(0, Math.min(days.length - 1, at + step))]);
  });

  document.addEventListener("pointerover", (event) => {
    const day = event.target.closest(".day");
    const bar = day && day.closest("[data-days]");
    if (bar) { showDay(bar, day); }
  });
  document.addEventListener("pointerout", (event) => {
    const bar = event.target.closest("[data-days]");
    if (bar && !bar.contains(event.relatedTarget)) { showDay(bar, null); }
  });
  document.addEventListener("focusout", (event) => {
    if (event.target.matches("[data-days]")) { showDay(event.target, null); }
  });

  /* -- clock: UTC and the reader's own zone --------------------------------------------------------------------- */
  function tick() {
    const clock = one("[data-clock]");
    if (!clock) { return; }
    const now = new Date();
    one("b", clock).textContent = now.toISOString().slice(11, 16);
    const zone = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
    one("[data-local]").textContent = now.getTimezoneOffset() === 0 ? "" : " · " + zone.format(now);
  }

  /* -- live pages: htmx asks again in a visible tab and changes in place; the browser sends the ETag -------------- */
  let last = null;
  let before = null;

  function busy() {
    const held = document.activeElement;
    return (held && held.closest("main form")) || !window.getSelection().isCollapsed || one("dialog[open]");
  }

  function refresh() {
    const main = one("#main[data-refresh]");
    if (main && window.htmx && !document.hidden && !busy()) { window.htmx.trigger(main, "hanse:refresh"); }
  }

  function away() {
    const line = one("#read-at");
    if (!line) { return; }
    line.classList.add("mark", "degraded");
    line.textContent = "No answer; this is from " + last + " UTC. We try again.";
  }

  function poll() {
    const main = one("#main[data-refresh]");
    if (!main) { return; }
    last = new Date().toISOString().slice(11, 19);
    setInterval(refresh, Number(main.dataset.refresh) * 1000);
    document.addEventListener("visibilitychange", refresh);
  }

  document.addEventListener("htmx:beforeSwap", (event) => {
    const detail = event.detail;
    if (detail.target.id !== "main" || detail.xhr.status !== 200) { return; }
    last = new Date().toISOString().slice(11, 19);
    if (detail.serverResponse === before) { detail.shouldSwap = false; }
    before = detail.serverResponse;
  });
  document.addEventListener("htmx:sendError", away);
  document.addEventListener("htmx:responseError", away);
  document.addEventListener("htmx:afterSwap", (event) => enhance(event.target));

  /* forms sent by htmx carry the form secret */
  document.addEventListener("htmx:configRequest", (event) => {
    const secret = one('meta[name="csrf-token"]');
    if (secret && event.detail.verb !== "get") { event.detail.headers["X-CSRF-Token"] = secret.content; }
  });
  if (window.Idiomorph) {
    /* what the reader has opened stays open */
    window.Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name) => name !== "open";
  }

  enhance(document);
  tick();
  setInterval(tick, 10000);
  poll();
  const keysOn = one("[data-keys-on]");
  if (keysOn) { keysOn.checked = localStorage.getItem("hanse-keys") !== "off"; }
  const held = one("main [data-focus]");
  if (held) { held.focus(); }
})();
