// Live updates: server-sent events, polling where a proxy holds them back. Only changed rows are swapped.
(function () {
  "use strict";
  const A = window.a365;
  const body = document.body;
  if (!A || body.dataset.live === undefined) return;
  const WATCHDOG_MS = 25000, POLL_MS = 3000, STREAM_AGAIN_MS = 60000;
  let version = body.dataset.live || "0";
  let sweepSeen = "";
  let source = null, pollTimer = 0, againTimer = 0, paused = false, signedOut = false;
  let lastHeard = A.now();
  let freshness = { known: true, ids: {} };

  // ---- State of the connection --------------------------------------------------------------------------------
  function state(name, word) {
    document.documentElement.dataset.liveState = name;
    document.querySelectorAll("[data-live-word]").forEach((element) => { element.textContent = word; });
    document.querySelectorAll("[data-live-pause]").forEach((button) => {
      button.setAttribute("aria-pressed", String(paused));
      button.title = paused ? "Continue live updates" : "Pause live updates";
    });
  }
  function heard() {
    lastHeard = A.now();
    if (!paused && !signedOut) document.getElementById("live-stopped").hidden = true;
  }
  function stopped(text) {
    document.getElementById("live-stopped-text").textContent = text;
    document.getElementById("live-stopped").hidden = false;
  }

  // ---- Stream, and polling in its place -----------------------------------------------------------------------
  function open() {
    close();
    if (paused || signedOut || document.hidden) return;
    source = new EventSource("/live/stream?v=" + version);
    source.onopen = () => { heard(); state("live", "Live"); };
    source.onerror = () => { if (source && source.readyState === EventSource.CLOSED) fallBack(); };
    listen("rows", (event) => rows(event.data));
    listen("summary", (event) => summary(JSON.parse(event.data)));
    listen("fresh", (event) => fresh(JSON.parse(event.data)));
    listen("operation", (event) => operations(JSON.parse(event.data)));
    listen("banner", (event) => banner(event.data));
    listen("heartbeat", (event) => A.setServerNow(parseFloat(event.data)));
    listen("signed-out", signOut);
  }
  function listen(name, handle) {
    source.addEventListener(name, function (event) {
      heard();
      if (event.lastEventId) version = event.lastEventId;
      handle(event);
    });
  }
  function close() {
    if (source) source.close();
    source = null;
    window.clearTimeout(pollTimer);
    window.clearTimeout(againTimer);
  }
  function fallBack() {
    close();
    poll();
    againTimer = window.setTimeout(open, STREAM_AGAIN_MS);
  }
  async function poll() {
    if (paused || signedOut || document.hidden) return;
    try {
      const answer = await fetch("/live/poll?v=" + version + "&f=" + encodeURIComponent(sweepSeen), { headers: { Accept: "application/json" } });
      if (answer.redirected || answer.status === 401 || answer.status === 403) { signOut(); return; }
      if (answer.ok) { heard(); state("live", "Live"); }
      if (answer.status === 200) {
        const news = await answer.json();
        version = String(news.v);
        sweepSeen = news.f;
        rows(news.rows);
        summary(news.summary);
        fresh(news.fresh);
        operations(news.operation);
        banner(news.banner);
      }
    } catch (error) { /* the watchdog says so */ }
    window.clearTimeout(pollTimer);
    pollTimer = window.setTimeout(poll, POLL_MS);
  }
  function signOut() {
    signedOut = true;
    close();
    state("stopped", "Stopped");
    stopped("You are signed out, or your role has changed. Load the page again. Values below are from " + A.clock(lastHeard) + ".");
  }
  function watch() {
    if (paused || signedOut || document.hidden) return;
    const silent = A.now() - lastHeard;
    if (silent > 8000) {
      state("stopped", "Stopped");
      stopped("Live updates stopped " + A.duration(silent / 1000) + " ago. Values below are from " + A.clock(lastHeard) + ".");
    }
    if (silent > WATCHDOG_MS && source) fallBack();
  }
  document.addEventListener("visibilitychange", function () {
    if (document.hidden) { close(); } else { lastHeard = A.now(); open(); ages(); }
  });
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  document.addEventListener("click", function (event) {
    if (event.target.closest("[data-live-retry]")) { lastHeard = A.now(); open(); }
    if (!event.target.closest("[data-live-pause]")) return;
    paused = !paused;
    if (paused) { close(); state("paused", "Paused"); stopped("You paused live updates. Values below are from " + A.clock(A.now()) + "."); }
    else { lastHeard = A.now(); document.getElementById("live-stopped").hidden = true; open(); }
  });

  // ---- Rows ---------------------------------------------------------------------------------------------------
  let refetchTimer = 0;
  function refetchList() {
    window.clearTimeout(refetchTimer);
    refetchTimer = window.setTimeout(function () {
      if (document.querySelector("dialog:modal")) { refetchList(); return; }
      window.htmx.ajax("GET", window.location.pathname + window.location.search, { target: "#list", swap: "outerHTML" });
    }, 300);
  }
  function rows(html) {
    if (!html) return;
    const holder = document.createElement("template");
    holder.innerHTML = html;
    const news = [...holder.content.querySelectorAll("li[data-id]")];
    const list = document.getElementById("list");
    let any = false;
    const moved = [];
    for (const row of news) {
      const old = document.getElementById(row.id);
      const same = old && old.outerHTML === row.outerHTML;
      if (old && old.dataset.state !== row.dataset.state) moved.push(row);
      if (list && list.dataset.filtered === "" && !(old && old.dataset.html === hash(row))) { place(row, old); any = true; }
      if (!same) window.htmx.trigger(body, "a365:host-" + row.dataset.id);
    }
    if (moved.length > 5) A.say(moved.length + " hostnames changed their state.");
    else moved.forEach(announce);
    if (list && list.dataset.filtered) refetchList();
    tell("a365:rows");
    if (any) { counts(); ages(); }
  }
  // Whoever fetches anew at this does so at most every two seconds, and what came meanwhile would be lost: say it again.
  const ECHO_MS = 2100, echoes = {};
  function tell(news) {
    window.htmx.trigger(body, news);
    window.clearTimeout(echoes[news]);
    echoes[news] = window.setTimeout(() => window.htmx.trigger(body, news), ECHO_MS);
  }
  function hash(row) { return row.dataset.v + "|" + row.dataset.state + "|" + row.dataset.section + "|" + row.dataset.say; }
  function place(row, old) {
    row.dataset.html = hash(row);
    const focus = old && old.contains(document.activeElement) ? document.activeElement.id : "";
    if (old && selected(old)) return;
    A.prepare(row);
    const into = section(row);
    if (!into) { refetchList(); return; }
    if (old && old.parentElement === into && old.dataset.sort === row.dataset.sort) old.replaceWith(row);
    else {
      if (old) old.remove();
      const after = [...into.children].find((other) => other.dataset.sort > row.dataset.sort);
      into.insertBefore(row, after || null);
    }
    if (old && old.dataset.state !== row.dataset.state) row.classList.add("just-changed");
    window.htmx.process(row);
    if (focus && document.getElementById(focus)) document.getElementById(focus).focus({ preventScroll: true });
  }
  function section(row) {
    const key = row.classList.contains("is-stale") ? "attention" : row.dataset.section;
    return document.querySelector('ul[data-rows="' + key + '"]');
  }
  function selected(row) {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && row.contains(selection.anchorNode);
  }
  function counts() {
    document.querySelectorAll("[data-rows]").forEach(function (list) {
      const box = list.closest("[data-group], [data-fold]");
      if (!box) return;
      const count = box.querySelector("[data-section-count]");
      if (count) count.textContent = list.children.length;
      box.hidden = list.children.length === 0;
    });
  }
  function announce(row) { A.say(row.dataset.say); }

  // ---- Counts: summary, title, favicon ------------------------------------------------------------------------
  function summary(numbers) {
    for (const [key, value] of Object.entries(numbers)) {
      document.querySelectorAll('[data-count="' + key + '"]').forEach(function (element) {
        element.textContent = value;
        const link = element.closest(".count-link");
        if (link) link.classList.toggle("is-zero", value === 0);
      });
    }
    headline(numbers.down, numbers.unknown, numbers.all);
  }
  function headline(down, unknown, all) {
    document.title = (down ? "(" + down + ") " : "") + document.title.replace(/^\(\d+\) /, "");
    icon(down ? String(down > 99 ? "99+" : down) : "", down ? "#c0262d" : all && unknown === all ? "#5b6675" : "#1b7f3b");
  }
  let iconShown = "";
  function icon(text, colour) {
    if (iconShown === text + colour) return;
    iconShown = text + colour;
    const mark = text
      ? '<text x="16" y="23" font-family="sans-serif" font-weight="700" font-size="' + (text.length > 2 ? 14 : 20) + '" text-anchor="middle" fill="#fff">' + text + "</text>"
      : '<path d="M8 12h14l-4-4M24 20H10l4 4" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round" stroke-linejoin="round"/>';
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="' + colour + '"/>' + mark + "</svg>";
    document.querySelector('link[rel="icon"]').href = "data:image/svg+xml," + encodeURIComponent(svg);
  }

  // ---- Ages ---------------------------------------------------------------------------------------------------
  function fresh(news) {
    if (news.now) A.setServerNow(news.now);
    freshness = news;
    ages();
  }
  let oldOnes = null;
  function ages() {
    const now = A.now() / 1000;
    let moved = false;
    document.querySelectorAll("li[data-id], [data-host]").forEach(function (row) {
      const id = row.dataset.id || row.dataset.host;
      const seen = freshness.ids[id];
      const age = seen ? now - seen[0] : null;
      const stale = seen ? age > seen[1] : true;
      const label = row.querySelector("[data-age]");
      if (label) label.textContent = seen ? (row.dataset.host ? "checked " : "") + A.duration(age) + " ago" : freshness.known ? "not checked" : "age not known";
      const word = row.querySelector("[data-stale]");
      if (word && stale) word.textContent = seen ? "Unknown (stale " + A.duration(age) + ")" : "Unknown";
      if (row.classList.contains("is-stale") !== stale) {
        row.classList.toggle("is-stale", stale);
        if (row.dataset.id) moved = regroup(row) || moved;
      }
    });
    if (moved) counts();
    let old = freshness.known ? 0 : -1;
    for (const [at, limit] of Object.values(freshness.ids)) if (now - at > limit) old += 1;
    // What is shown in other words than rows (helpdesk, a wall screen, a server) is fetched anew when something goes stale.
    if (oldOnes !== null && old !== oldOnes) {
      tell("a365:rows");
      const list = document.getElementById("list");
      if (list && list.dataset.filtered) refetchList();
    }
    oldOnes = old;
    const asOf = document.getElementById("as-of");
    if (asOf && freshness.sweep) asOf.textContent = A.clock(freshness.sweep * 1000);
  }
  function regroup(row) {
    const list = document.getElementById("list");
    if (!list) return false;
    if (list.dataset.filtered) { refetchList(); return false; }
    const into = section(row);
    if (!into || into === row.parentElement) return false;
    const after = [...into.children].find((other) => other.dataset.sort > row.dataset.sort);
    into.insertBefore(row, after || null);
    return true;
  }

  // ---- Operations and banners ---------------------------------------------------------------------------------
  const wanted = {}, askedAgain = {};
  function operations(marks) {
    for (const [id, mark] of Object.entries(marks)) {
      wanted[id] = mark;
      const page = document.querySelector('[data-op="' + id + '"]');
      if (page && page.dataset.mark !== mark) window.htmx.trigger(body, "a365:op-" + id);
    }
    tell("a365:operations");
  }
  // News that came while the page was being fetched went to the element that the swap took away: ask once more.
  function missed() {
    const page = document.querySelector("[data-op]");
    const id = page ? page.dataset.op : "";
    if (!id || !wanted[id] || page.dataset.mark === wanted[id] || askedAgain[id] === wanted[id]) return;
    askedAgain[id] = wanted[id];
    window.htmx.trigger(body, "a365:op-" + id);
  }
  function banner(html) {
    const place = document.getElementById("banners");
    if (place.innerHTML.trim() === html.trim()) return;
    const before = place.textContent.replace(/\d+ (s|min|h)\b/g, "");
    place.innerHTML = html;
    A.prepare(place);
    const after = place.textContent.replace(/\d+ (s|min|h)\b/g, "");
    if (after.trim() && after !== before) A.say(place.textContent);
  }

  // ---- History bars: a new slot each five minutes; not all browsers at once ------------------------------------
  const BARS_MS = 300000;
  async function bars() {
    if (document.hidden || paused || signedOut || !document.querySelector(".c-bar")) return;
    const answer = await fetch("/history/bars/", { headers: { Accept: "application/json" } });
    if (!answer.ok || answer.redirected) return;
    const news = (await answer.json()).bars;
    document.querySelectorAll("li[data-id]").forEach(function (row) {
      const place = row.querySelector(".c-bar");
      if (place && news[row.dataset.id]) place.innerHTML = news[row.dataset.id];
    });
  }
  window.setInterval(() => window.setTimeout(() => bars().catch(() => {}), Math.random() * 20000), BARS_MS);

  // ---- Start --------------------------------------------------------------------------------------------------
  const first = document.getElementById("fresh");
  if (first) { freshness = JSON.parse(first.dataset.fresh); ages(); }
  body.addEventListener("htmx:afterSettle", () => { ages(); missed(); });
  window.setInterval(() => { ages(); watch(); }, 1000);
  const numbers = document.querySelector('[data-count="down"]');
  if (numbers) headline(Number(numbers.textContent), 0, 1); else headline(Number(body.dataset.down || 0), 0, 1);
  state("live", "Live");
  open();
})();
