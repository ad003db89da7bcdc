// Dialogs, copying, theme, keys, times. Live updates are in live.js.
(function () {
  "use strict";
  const root = document.documentElement;
  const zone = root.dataset.tz || "UTC";
  let clockOffset = 0; // ms that the server's clock is ahead of the browser's
  const A = (window.a365 = {
    now: () => Date.now() + clockOffset,
    setServerNow: (epochS) => { clockOffset = epochS * 1000 - Date.now(); },
  });
  if (document.body.dataset.now) A.setServerNow(parseFloat(document.body.dataset.now));

  // ---- Times: in the reader's zone, UTC on hover --------------------------------------------------------------
  function format(options) {
    try { return new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options }); }
    catch (error) { return new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", hourCycle: "h23", ...options }); }
  }
  const clock = format({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const day = format({ day: "numeric", month: "short", year: "numeric" });
  const dayShort = format({ day: "numeric", month: "short" });
  A.clock = (ms) => clock.format(new Date(ms));
  A.duration = function (seconds) {
    const s = Math.max(0, Math.round(seconds));
    if (s < 90) return s + " s";
    if (s < 5400) return Math.round(s / 60) + " min";
    return s < 129600 ? Math.round(s / 3600) + " h" : Math.round(s / 86400) + " d";
  };
  function showTime(element) {
    const at = new Date(element.getAttribute("datetime"));
    if (Number.isNaN(at.getTime())) return;
    const now = new Date(A.now());
    const sameDay = day.format(at) === day.format(now);
    const sameYear = day.format(at).slice(-4) === day.format(now).slice(-4);
    element.textContent = sameDay ? clock.format(at) : (sameYear ? dayShort : day).format(at) + ", " + clock.format(at).slice(0, 5);
    element.title = at.toISOString().slice(0, 19).replace("T", " ") + " UTC";
  }
  A.prepare = function (scope) {
    scope.querySelectorAll("time[datetime]:not([data-as=full])").forEach(showTime);
    scope.querySelectorAll("details[data-fold]").forEach(restoreFold);
    scope.querySelectorAll("dialog[data-open]").forEach(openDialog);
    if (scope.matches && scope.matches("dialog[data-open]")) openDialog(scope);
  };
  function tick() {
    const now = A.now();
    document.querySelectorAll("[data-ago]").forEach(function (element) {
      element.textContent = A.duration((now - Date.parse(element.dataset.ago)) / 1000) + " ago";
    });
    document.querySelectorAll("[data-until]").forEach(function (element) {
      const left = (Date.parse(element.dataset.until) - now) / 1000;
      element.textContent = left > 0 ? element.dataset.untilText + " " + A.duration(left) : element.dataset.untilDone;
    });
    document.querySelectorAll("[data-running]").forEach(function (element) {
      element.textContent = A.duration((now - Date.parse(element.dataset.running)) / 1000);
    });
  }
  window.setInterval(tick, 1000);

  // ---- Toasts and the polite region ---------------------------------------------------------------------------
  A.toast = function (text) {
    const toast = document.createElement("div");
    toast.className = "toast-x";
    toast.textContent = text;
    document.getElementById("toasts").append(toast);
    window.setTimeout(() => toast.remove(), 5000);
  };
  A.say = function (text) {
    const line = document.createElement("p");
    line.textContent = text;
    const region = document.getElementById("announcer");
    region.append(line);
    while (region.children.length > 5) region.firstChild.remove();
  };

  // ---- Dialogs ------------------------------------------------------------------------------------------------
  let opener = null;
  function openDialog(dialog) {
    if (dialog.matches(":modal")) return;
    dialog.removeAttribute("open");
    dialog.showModal();
    const first = dialog.querySelector("[autofocus]");
    if (first) first.focus();
    tick();
  }
  document.addEventListener("close", function (event) {
    if (event.target.parentElement && event.target.parentElement.id === "dialog-host") event.target.remove();
    if (opener && document.getElementById(opener)) document.getElementById(opener).focus();
  }, true);
  function onClose(event) {
    const closer = event.target.closest("[data-close]");
    const dialog = closer && closer.closest("dialog");
    if (!dialog || dialog.parentElement.id !== "dialog-host") return; // on a page of its own it is a plain link
    event.preventDefault();
    dialog.close();
  }

  // ---- Clicks -------------------------------------------------------------------------------------------------
  document.addEventListener("click", function (event) {
    onClose(event);
    if (event.target.closest("[data-theme-toggle]")) window.a365Theme.toggle();
    if (event.target.closest("[data-help]")) help();
    if (event.target.closest("[data-print]")) window.print();
    const copier = event.target.closest("[data-copy]");
    if (copier) copy(copier);
    document.querySelectorAll("details[data-menu][open]").forEach(function (menu) {
      if (!menu.contains(event.target)) menu.open = false;
    });
  });
  function help() {
    const dialog = document.getElementById("help");
    if (!dialog.open) dialog.showModal();
  }
  async function copy(button) {
    let text = button.dataset.copy;
    if (button.hasAttribute("data-copy-time")) text += "\nAs of: " + day.format(A.now()) + " " + A.clock(A.now()) + " (" + zone + ")";
    try {
      await navigator.clipboard.writeText(text);
    } catch (error) { // without HTTPS there is no clipboard API: select and copy the old way
      const area = document.createElement("textarea");
      area.value = text;
      (button.closest("dialog") || document.body).append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    A.toast("Copied: " + text.split("\n")[0]);
  }

  // ---- Forms: a double click does one thing -------------------------------------------------------------------
  document.addEventListener("submit", function (event) {
    const form = event.target;
    if (!form.matches("[data-once]")) return;
    if (form.dataset.sent) { event.preventDefault(); event.stopImmediatePropagation(); return; }
    form.dataset.sent = "1";
    const button = event.submitter;
    if (button && button.dataset.busy) {
      button.setAttribute("aria-disabled", "true");
      button.dataset.word = button.innerHTML;
      button.textContent = button.dataset.busy;
    }
  }, true);
  function released(form) {
    delete form.dataset.sent;
    form.querySelectorAll("[data-word]").forEach(function (button) {
      button.innerHTML = button.dataset.word;
      button.removeAttribute("aria-disabled");
    });
  }
  window.addEventListener("pageshow", () => document.querySelectorAll("form[data-once]").forEach(released));

  // ---- Keys ---------------------------------------------------------------------------------------------------
  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") document.querySelectorAll("details[data-menu][open]").forEach((menu) => { menu.open = false; menu.querySelector("summary").focus(); });
    if (event.target.closest("input, textarea, select, [contenteditable]") || document.querySelector("dialog:modal")) return;
    const search = document.getElementById("search");
    if (event.key === "/" && search) { event.preventDefault(); search.focus(); search.select(); }
    if (event.key === "?") { event.preventDefault(); help(); }
  });

  // ---- Folded groups stay as somebody left them ---------------------------------------------------------------
  function restoreFold(fold) {
    try {
      const kept = sessionStorage.getItem("a365-" + fold.id);
      if (kept !== null) fold.open = kept === "1";
    } catch (error) { /* no storage: as the server says */ }
  }
  document.addEventListener("toggle", function (event) {
    if (!event.target.matches || !event.target.matches("details[data-fold]")) return;
    try { sessionStorage.setItem("a365-" + event.target.id, event.target.open ? "1" : "0"); } catch (error) { /* as above */ }
  }, true);

  // ---- htmx ---------------------------------------------------------------------------------------------------
  let focused = null;
  let openDetails = [];
  document.body.addEventListener("htmx:beforeRequest", function (event) {
    if (event.detail.target && event.detail.target.id === "dialog-host" && document.activeElement.id && !document.activeElement.closest("dialog")) opener = document.activeElement.id;
  });
  document.body.addEventListener("htmx:beforeSwap", function (event) {
    const target = event.detail.target;
    focused = target.contains(document.activeElement) ? document.activeElement.id : null;
    openDetails = [...target.querySelectorAll("details[id][open]")].map((element) => element.id);
    if (target.id === "live-part" && selectionInside(target)) { event.detail.shouldSwap = false; } // somebody is selecting text
  });
  function selectionInside(target) {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && target.contains(selection.anchorNode);
  }
  document.body.addEventListener("htmx:afterSettle", function () {
    openDetails.forEach((id) => { const element = document.getElementById(id); if (element) element.open = true; });
    openDetails = [];
    if (focused && document.getElementById(focused)) document.getElementById(focused).focus({ preventScroll: true });
    focused = null;
  });
  document.body.addEventListener("htmx:load", (event) => A.prepare(event.detail.elt));
  function failed(event, text) {
    const form = event.detail.elt;
    if (form && form.matches && form.matches("form")) released(form);
    A.toast(text);
  }
  document.body.addEventListener("htmx:responseError", function (event) {
    const status = event.detail.xhr.status;
    failed(event, status === 403 ? "You may not do this, or you have been signed out. Nothing was changed." :
      status === 404 ? "That is not there any more. Load the page again." : "The server could not do that (" + status + "). Load the page again.");
  });
  document.body.addEventListener("htmx:sendError", (event) => failed(event, "The server cannot be reached. Is your network up?"));
  A.prepare(document);
  tick();
})();
