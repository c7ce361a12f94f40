// What becomes of a request when the server is away, starts anew, is full or takes long.
//
// Gradio gives up a page whose connection broke: it ignores every further event and loads the page anew. So what goes
// between its client and the server passes through here: a request that fails is kept and sent again, and an answer's
// stream goes on over a new connection. Gradio sees a request that takes longer, the visitor a bar that says why.
"use strict";
(() => {
  const { explorer } = window;
  const { make, write, say } = explorer;
  const WAITS_S = [1, 2, 4, 8, 15];
  const SLOW_MS = 3000;
  const TICK_MS = 250;
  const SOON_MS = 1000;
  //: A server that works is asked this often whether it is there, which takes it this long at most.
  const CHECK_MS = 5000;
  //: The server says something every 15 s on a stream that waits.
  const SILENT_MS = 50000;
  //: What a proxy answers where the server behind it is away.
  const AWAY = [502, 503, 504];
  //: The title of the error of a turn that did not come; explorer/ui/answers.py has it too.
  const BUSY = "Busy";
  const HEAD = /^data: ?\{"msg":"(\w+)"(?:,"event_id":"([^"]+)")?/;
  const send = window.fetch.bind(window);
  const now = () => performance.now();
  const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

  //: What was asked and is not answered: name is gradio's for it, real the server's at present, null until it is sent.
  const pending = new Set();
  //: What ended before the answer to its own request had told its name: name -> the message.
  const ended = new Map();
  let trouble = null; // {kind: "away", "full", "busy" or "ended", since, until}
  let tries = 0;
  let leaving = false;

  // ---- what is said

  const told = { away: "The server cannot be reached. The page keeps what you see and asks again in {n} s.",
    full: "Many are asking at once. The page asks again in {n} s.",
    busy: "Many are asking at once. The page asks again in {n} s.",
    ended: "This page's session has ended; nothing is lost." };
  let hurry = () => {};
  const text = make("p", { "aria-hidden": "true" });
  // The counting down is for the eye; it would be read out every second.
  const spoken = make("span", { class: "spoken" });
  const again = make("button", { type: "button", onclick: () => hurry() });
  const reload = make("button", { type: "button", onclick: () => location.reload() });
  const bar = make("div", { id: "net", class: "part", role: "status" }, text, spoken, again, reload);
  let shown = "";
  const show = () => {
    const oldest = Math.min(...[...pending].filter((one) => one.answer && one.real).map((one) => one.since));
    const slow = !trouble && now() - oldest > SLOW_MS;
    const kind = trouble ? trouble.kind : slow ? "slow" : "";
    const seconds = slow ? Math.floor((now() - oldest) / 1000) : trouble ? Math.max(0, Math.ceil((trouble.until - now()) / 1000)) : 0;
    if (kind) write(text, slow ? say("Still computing: {n} s.", { n: seconds }) : say(told[kind], { n: seconds }));
    if (kind === shown) return;
    shown = kind;
    if (!bar.isConnected) document.body.append(bar);
    bar.dataset.kind = kind;
    write(spoken, kind ? text.textContent : "");
    write(again, say("Ask again now"));
    write(reload, say("Reload"));
    again.hidden = !["away", "full", "busy"].includes(kind);
    reload.hidden = kind !== "ended";
  };

  // Nothing ticks while nothing is asked and nothing is wrong.
  let timer = null;
  let checked = 0;
  const tick = () => {
    timer = null;
    show();
    if (!trouble && pending.size) watch();
    if (pending.size || (trouble && trouble.kind !== "ended")) watchOn();
  };
  const watchOn = () => { timer ??= setTimeout(tick, TICK_MS); };
  /** Find out whether a connection that says nothing is one that nobody holds at the other end. */
  const watch = async () => {
    const oldest = Math.min(...[...pending].map((one) => one.since));
    if (now() - Math.max(oldest, checked) < CHECK_MS) return;
    checked = now();
    if (now() - Math.max(heard, oldest) > SILENT_MS) { cut(); return; }
    try { await ping(); } catch (error) { if (error.name !== "TimeoutError") cut(); }
  };

  // ---- waiting

  let base = ""; // where gradio's own addresses begin
  const ping = () => send(`${base}app_id`, { cache: "no-store", signal: AbortSignal.timeout(CHECK_MS) });
  const built = (config) => JSON.stringify(config.dependencies.map(({ id, api_name, inputs, outputs }) => [id, api_name, inputs, outputs]));
  let app = null;
  /** Whether the server is there; one that was started anew has to serve the page that is open here. */
  const reachable = async () => {
    try {
      const response = await ping();
      if (!response.ok) return false;
      const { app_id: id } = await response.json();
      app ??= window.gradio_config.app_id;
      if (id === app) return true;
      const config = await send(`${base.replace(/gradio_api\/$/, "")}config`, { cache: "no-store", signal: AbortSignal.timeout(2 * CHECK_MS) });
      if (!config.ok) return false;
      if (built(await config.json()) === built(window.gradio_config)) {
        app = id;
        return true;
      }
    } catch { return false; }
    trouble = { kind: "ended", since: now(), until: now() };
    show();
    return new Promise(() => {}); // only loading the page helps
  };

  const countDown = (kind) => new Promise((done) => {
    const seconds = WAITS_S[Math.min(tries++, WAITS_S.length - 1)];
    trouble = { kind, since: now(), until: now() + 1000 * seconds };
    const over = setTimeout(done, 1000 * seconds);
    hurry = () => { clearTimeout(over); done(); };
    show();
    watchOn();
  });
  let waiting = null;
  /** Wait until it makes sense to ask again; everybody who fails meanwhile waits for the same. */
  const wait = (kind) => waiting ??= (async () => {
    if (kind === "away") {
      // A connection may break once while the server is there: no reason to say anything.
      const fine = tries === 0 && await reachable();
      if (fine) tries = 1;
      else do await countDown(kind); while (!(await reachable()));
      calm();
    } else await countDown(kind); // that its request was taken ends this trouble
    waiting = null;
  })();
  const calm = () => { trouble = null; show(); };

  // ---- asking

  /** Send a request until it is taken; null where something newer has been asked instead. */
  const taken = async (event) => {
    for (;;) {
      let kind = "away";
      try {
        const response = await event.send();
        event.since = now();
        if (!AWAY.includes(response.status)) {
          if (!waiting) calm();
          return response;
        }
        if (/full/i.test(await response.text())) kind = "full";
      } catch (error) {
        if (error.name === "AbortError" || leaving) throw error;
      }
      await wait(kind);
      if (event.stale) return null;
    }
  };

  let made = 0;
  const join = async (url, init) => {
    const fn = JSON.parse(init.body).fn_index;
    const does = window.gradio_config.dependencies.find((one) => one.id === fn) || {};
    const event = {
      fn, cancelled: null, name: null, real: null, stale: false, begun: false, joining: null, since: now(),
      send: () => send(url, init),
      // What the models answer; everything else says of itself that it is under way.
      answer: /^answer(_\d+)?$/.test(does.api_name),
      outputs: (does.outputs || []).length,
    };
    pending.add(event);
    watchOn();
    try {
      const response = await taken(event);
      if (!response) {
        event.name = `kept${made++}`;
        finish(event, true, skipped(event));
        return Response.json({ event_id: event.name });
      }
      if (response.ok) event.name = event.real = (await response.clone().json()).event_id;
      // Its end may have been told before its name; gradio kept that, and nothing is left to wait for.
      if (!response.ok || ended.delete(event.name)) pending.delete(event);
      else if (event.cancelled) cancel(...event.cancelled, event);
      return response;
    } catch (error) {
      pending.delete(event);
      throw error;
    }
  };
  // Gradio asks for the latest once what is under way is over: of a drag only that is worth sending again.
  explorer.hear("asked", () => {
    for (const event of pending) if (event.answer) event.stale = true;
    // Who drags wants to know now whether the server is back.
    if (trouble && trouble.kind === "away" && now() - trouble.since > SOON_MS) hurry();
  });

  const skipped = (event) => ({ data: Array(event.outputs).fill({ __type__: "update" }), is_generating: false, duration: 0 });
  /** Tell gradio how a request ended that the server will say nothing about. */
  const finish = (event, success, output) => {
    pending.delete(event);
    put(`data: ${JSON.stringify({ msg: "process_completed", event_id: event.name, output, success })}`);
  };
  /** Ask once more what was asked under another name. */
  const rejoin = (event) => event.joining ??= (async () => {
    if (event.begun) {
      // Its steps so far are on the page, and those of another run do not continue them.
      finish(event, false, { error: say("The connection was lost while this was computed. Start it again."), visible: true, duration: 20, title: say("Not finished") });
    } else {
      const response = event.stale ? null : await taken(event);
      if (!response) finish(event, true, skipped(event));
      else if (response.ok) {
        event.real = (await response.json()).event_id;
        const line = ended.get(event.real);
        if (line) pass(line);
        ended.delete(event.real);
      }
      else finish(event, false, { error: say("The server no longer knows what was asked. Reload the page."), visible: true, duration: 20, title: say("Not finished") });
    }
    event.joining = null;
  })();

  // ---- being answered

  const encoder = new TextEncoder();
  let out = null; // gradio's stream while it is open
  const unsaid = [];
  const put = (line) => {
    if (out) out.enqueue(encoder.encode(`${line}\n\n`));
    else unsaid.push(line);
  };
  let heard = 0;
  let cut = () => {};

  /** Pass a message on; returns "closed" or "broken" where it is the last of its connection. */
  const pass = (line) => {
    const [, message, id] = HEAD.exec(line) || [];
    if (message === "close_stream") return "closed";
    if (message === "unexpected_error") return "broken"; // the server stops, or does not know the session
    const event = id && [...pending].find((one) => one.real === id);
    if (event && message === "process_generating") event.begun = true;
    if (event && message === "process_completed") {
      // Failures are short, answers long.
      const failed = line.length < 5000 ? JSON.parse(line.slice(5)) : {};
      if (failed.success === false && failed.output && failed.output.title === BUSY) {
        event.real = null;
        wait("busy").then(() => rejoin(event));
        return "";
      }
      pending.delete(event);
      tries = 0;
    }
    if (!event && id && message === "process_completed") {
      if (ended.size > 32) ended.clear();
      ended.set(id, line);
    }
    put(event && event.name !== id ? line.replace(`"event_id":"${id}"`, `"event_id":"${event.name}"`) : line);
    return "";
  };
  /** Read one connection to its end: "closed" as agreed, or "broken". */
  const relay = async (request) => {
    const controller = new AbortController();
    cut = () => controller.abort();
    try {
      const response = await send(request.url, { headers: request.headers, credentials: request.credentials, signal: controller.signal });
      if (!response.ok) return "broken";
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return "broken";
        heard = now();
        const lines = (rest + value).split("\n\n");
        rest = lines.pop();
        for (const line of lines) {
          const end = pass(line);
          if (end) return end;
        }
      }
    } catch { return "broken"; } finally { controller.abort(); }
  };
  /** The answers as one stream, however many connections they take. */
  const answers = (request) => {
    let over = false;
    let own = () => {};
    const close = () => { over = true; own(); };
    request.signal.addEventListener("abort", close);
    return new Response(new ReadableStream({
      async start(controller) {
        out = controller;
        for (const line of unsaid.splice(0)) put(line);
        const open = () => [...pending].filter((one) => one.name);
        while (open().length && !over) {
          await Promise.all(open().filter((one) => !one.real).map(rejoin));
          if (!open().some((one) => one.real)) continue;
          const end = relay(request);
          own = cut;
          if (await end === "broken" && !over && !leaving) {
            for (const event of open()) event.real = null;
            await wait("away");
          }
        }
        // A stream that gradio closed may end after the next one has begun.
        if (out === controller) {
          if (!over) put('data: {"msg":"close_stream"}');
          out = null;
        }
        try { controller.close(); } catch { /* gradio closed it */ }
      },
      cancel: close,
    }), { headers: { "content-type": "text/event-stream" } });
  };
  /** The connection that keeps the session alive: its end is the first sign of a server that goes. */
  const heartbeat = (request) => new Response(new ReadableStream({
    async start() {
      for (let broken = 0; !leaving && !request.signal.aborted; broken++) {
        try {
          const response = await send(request.url, { headers: request.headers, credentials: request.credentials, signal: request.signal });
          const reader = response.body.getReader();
          while (!(await reader.read()).done);
        } catch { /* as good as ended */ }
        if (leaving || request.signal.aborted) return;
        if (!(await reachable())) await wait("away");
        await sleep(1000 * WAITS_S[Math.min(broken, WAITS_S.length - 1)]);
      }
    },
  }), { headers: { "content-type": "text/event-stream" } });
  /** Cancel under the server's present name; what has none yet, once it has. */
  const cancel = (url, init, known = null) => {
    const body = JSON.parse(init.body);
    const event = known || [...pending].find((one) => (body.event_id ? one.name === body.event_id : one.fn === body.fn_index && !one.name));
    if (event && !event.name) {
      event.cancelled = [url, init];
      return Promise.resolve(Response.json({ success: true }));
    }
    if (event && !event.real) finish(event, true, skipped(event));
    if (event) pending.delete(event); // the server says nothing more of it
    return send(url, event && event.real ? { ...init, body: JSON.stringify({ ...body, event_id: event.real }) } : init);
  };

  window.fetch = (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input, location.href);
    const found = url.origin === location.origin && /^(.*\/gradio_api\/)(queue\/join|queue\/data|heartbeat\/|cancel)/.exec(url.origin + url.pathname);
    if (!found) return send(input, init);
    base = found[1];
    if (found[2] === "queue/join") return join(url, init);
    if (found[2] === "cancel") return cancel(url, init);
    const request = input instanceof Request ? input : new Request(input, init);
    return Promise.resolve(found[2] === "queue/data" ? answers(request) : heartbeat(request));
  };
  addEventListener("pagehide", () => { leaving = true; });
  addEventListener("pageshow", () => { leaving = false; });
  addEventListener("offline", () => { if (base) wait("away"); });
  addEventListener("online", () => hurry());
})();
