// What htmx does not do: say things aloud, rest while nobody looks, show that the engine is away.
"use strict";
(() => {
  const notice = document.getElementById("notice");
  // The page brings the words, in its language: data-say-away is words("away")
  const words = (name) => document.body.getAttribute(`data-say-${name}`) || "";
  let hide = 0;

  function say(text, bad = false, stay = 2600) {
    notice.textContent = text;
    notice.className = bad ? "notice bad shown" : "notice shown";
    clearTimeout(hide);
    if (stay) hide = setTimeout(() => notice.classList.remove("shown"), stay);
  }

  function isPoll(ctx) {
    return ctx.sourceElement && ctx.sourceElement.id === "live";
  }

  function detailOf(ctx) {
    try {
      return JSON.parse(ctx.text).detail || ctx.text;
    } catch {
      return `${words("failed")} (${ctx.response.status})`;
    }
  }

  document.addEventListener("notice", (event) => say(event.detail.text));

  document.addEventListener("htmx:before:request", (event) => {
    if (isPoll(event.detail.ctx) && document.hidden) event.preventDefault();
  });

  let away = false;
  document.addEventListener("htmx:error", (event) => {
    if (!isPoll(event.detail.ctx)) return say(words("silent"), true);
    away = true;
    say(words("away"), true, 0);
  });
  document.addEventListener("htmx:after:request", (event) => {
    if (away && isPoll(event.detail.ctx)) say(words("back"));
    if (isPoll(event.detail.ctx)) away = false;
  });
  document.addEventListener("htmx:response:error", (event) => {
    if (!isPoll(event.detail.ctx)) say(detailOf(event.detail.ctx), true, 6000);
  });

  // What happens is shown at once: each event of the engine looks at the page anew, at most every second.
  // A tab that nobody sees lets go of its stream, as a browser opens only six to one server.
  const CALM = 1000;
  let stream = null;
  let due = 0;

  function look() {
    due = 0;
    const live = document.getElementById("live");
    if (live && !document.hidden) live.dispatchEvent(new Event("refresh"));
  }

  function listen() {
    if (document.hidden || !window.EventSource || !document.getElementById("live")) {
      if (stream) stream.close();
      stream = null;
    } else if (!stream) {
      stream = new EventSource("/api/v1/events");
      for (const entity of ["problem", "alert", "run", "delivery", "ticket", "silence", "hold"])
        stream.addEventListener(entity, () => { due = due || setTimeout(look, CALM); });
    }
  }
  document.addEventListener("visibilitychange", listen);
  listen();

  // The browser's zone, for times that the server writes; the list of zones only for who looks for one
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!document.cookie.split("; ").includes(`forewarn_zone=${zone}`)) {
    document.cookie = `forewarn_zone=${zone}; path=/; max-age=31536000; samesite=lax`;
    const shown = document.querySelector("#times summary span");
    if (shown && !document.body.dataset.zone && shown.textContent !== zone) look();
  }
  document.addEventListener("focusin", (event) => {
    const list = event.target.matches("input[name=zone]") && event.target.list;
    if (list && !list.children.length) list.append(...Intl.supportedValuesOf("timeZone").map((name) => new Option(name)));
  });

  // A form that was sent starts anew; a menu closes
  document.addEventListener("htmx:finally:request", (event) => {
    const ctx = event.detail.ctx;
    if (!ctx.response || ctx.response.status >= 400) return;
    const form = ctx.sourceElement;
    if (form && form.matches && form.matches("form[data-reset]")) form.reset();
    document.querySelectorAll("details.menu[open]").forEach((menu) => {
      if (menu.contains(form)) menu.open = false;
    });
  });

  document.addEventListener("click", (event) => {
    document.querySelectorAll("details.menu[open]").forEach((menu) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
  });

  // On a phone the rooms are a strip: the one that is open is to be seen
  const room = document.querySelector(".nav nav [aria-current]");
  if (room) room.scrollIntoView({ block: "nearest", inline: "center" });

  // A link to this page, or its text as Markdown, into the clipboard; where there is none, the link is followed
  async function copy(link) {
    const text = link.dataset.copy === "link" ? link.href + location.hash : await (await fetch(link.href)).text();
    await navigator.clipboard.writeText(text);
    say(words(link.dataset.copy === "link" ? "link-copied" : "text-copied"));
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-copy], [data-print]");
    if (!link || event.ctrlKey || event.metaKey) return;
    if ("print" in link.dataset) {
      event.preventDefault();
      window.print();
    } else if (navigator.clipboard) {
      event.preventDefault();
      copy(link).catch(() => { location.href = link.href; });
    }
  });

  // j and k walk a list, / goes to the search field, Escape closes a menu
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      document.querySelectorAll("details.menu[open]").forEach((menu) => {
        menu.open = false;
        menu.querySelector("summary").focus();
      });
    }
    if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") {
      const field = document.querySelector("input[type=search]");
      if (field) {
        field.focus();
        event.preventDefault();
      }
    }
    if (event.key !== "j" && event.key !== "k") return;
    const rows = [...document.querySelectorAll(".problem .row, .list .subject > a")];
    const at = rows.indexOf(document.activeElement);
    const to = rows[at < 0 ? 0 : at + (event.key === "j" ? 1 : -1)];
    if (to) to.focus();
  });
})();
