// Runs every case in a browser, and says on a line of its own how each went for the page. What it
// needs to know is JSON on its standard input; browser_test.go says what must come of it.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

import { attacks, openSocket } from "./attacks.mjs";

const at = JSON.parse(readFileSync(0, "utf8"));

const browser = await chromium.launch({ // with a profile of its own, which is gone behind it
  executablePath: at.chromium,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    `--host-resolver-rules=MAP evil.test ${new URL(at.good).hostname}`,
    `--ignore-certificate-errors-spki-list=${at.keys.join(",")}`,
  ],
});
const user = await browser.newContext({ viewport: { width: 1000, height: 560 } });

// run runs one case in a page of its own.
async function run(name, steps) {
  const page = await user.newPage();
  let result;
  try {
    result = await steps(page, name);
  } catch (error) {
    result = { failed: String(error) };
  }
  await page.close();
  console.log(JSON.stringify({ case: name, ...result }));
}

// seen waits until the request of a case has been made and answered.
async function seen(name) {
  const answer = await fetch(`${at.good}/seen?case=${encodeURIComponent(name)}`);
  if (!answer.ok) throw new Error(await answer.text());
}

// inPage runs a function, or its text, in a page.
const inPage = (page, source, ...given) => page.evaluate(`(${source})(${JSON.stringify(given)})`);

const target = (url, name) => `${url}/?case=${encodeURIComponent(name)}`;

// A page of ours, which shows what it says and hears.
const goodPage = (origin, url) => async (page, name) => {
  await page.goto(`${origin}/#${new URLSearchParams({ url: target(url, name), by: name })}`);
  await page.locator("#state[data-closed]").waitFor();
  if (name === "good") await page.screenshot({ path: at.screenshot });
  return { state: await page.locator("#state").textContent(), frames: await page.locator("li").allTextContents() };
};

// Any page that opens a WebSocket.
const socket = (origin, url, protocols = ["rudderpost.v1"]) => async (page, name) => {
  await page.goto(`${origin}/empty`);
  return inPage(page, openSocket, target(url, name), protocols, name);
};

// A document without an origin in a page of ours. place puts its text into a frame.
const framed = (url, place) => async (page, name) => {
  await page.goto(`${at.good}/empty`);
  const text = `<script>(${openSocket})(${JSON.stringify([target(url, name), ["rudderpost.v1"], name])})` +
    `.then(result => parent.postMessage(result, "*"))</script>`;
  return inPage(page, `([text]) => new Promise(done => {
    addEventListener("message", ({ data, origin }) => done({ ...data, origin }));
    const frame = document.createElement("iframe");
    (${place})(frame, text);
    document.body.append(frame);
  })`, text);
};

const attack = (origin, url, kind) => async (page, name) => {
  await page.goto(`${origin}/empty`);
  const result = await inPage(page, attacks[kind], target(url, name), name);
  await seen(name);
  return { result: String(result) };
};

// A page whose name has been made to lead to the daemon after it was loaded from somewhere else.
const rebound = (url, steps) => async (page, name) => {
  const origin = url.replace(/^ws/, "http");
  await page.route(`${origin}/before`, route => route.continue({ url: `${at.good}/empty` }));
  await page.goto(`${origin}/before`);
  return steps(page, name);
};

await run("nobody logged in", socket(at.good, at.ws));
await run("login", async (page, name) => {
  await page.goto(`${at.good}/login`);
  await page.goto(`${at.secure}/login`);
  // The browser keeps the password, as after its own dialogue, and sends it of itself from now on.
  await page.goto(`${at.http}/healthz`);
  const post = ([url, by, user, password]) => new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open("POST", url, true, user, password);
    request.setRequestHeader("Content-Type", "application/json");
    request.onload = () => done(request.status);
    request.onerror = () => fail(new Error("it fails"));
    request.send(JSON.stringify({ command: "fire", arguments: { by } }));
  });
  const first = await page.evaluate(post, [target(at.http, name), "http", at.user, at.password]);
  const second = await page.evaluate(post, [target(at.http, name), "http, password kept"]);
  return { statuses: [first, second] };
});

await run("good", goodPage(at.good, at.ws));
await run("good over TLS", goodPage(at.secure, at.wss));
await run("good, certificates known", goodPage(at.secure, at.wssMutual));
await run("unknown certificate", socket(at.secure, at.wssUnknown));
await run("no subprotocol", socket(at.good, at.ws, []));
await run("another subprotocol", socket(at.good, at.ws, ["chat"]));
await run("neighbour, allowed", socket(at.neighbour, at.wsLenient));
await run("neighbour", socket(at.neighbour, at.ws));
await run("stranger", socket(at.stranger, at.ws));
await run("null origin, sandbox", framed(at.ws, (frame, text) => {
  frame.sandbox = "allow-scripts";
  frame.srcdoc = text;
}));
await run("null origin, data", framed(at.ws, (frame, text) => {
  frame.src = "data:text/html," + encodeURIComponent(text);
}));
await run("rebound", rebound(at.wsEvil, (page, name) => inPage(page, openSocket, target(at.wsEvil, name), ["rudderpost.v1"], name)));
for (const kind of ["fetch-json", "fetch-text", "form-text", "fetch-health"]) {
  await run(`rebound ${kind}`, rebound(at.httpEvil, async (page, name) => {
    const result = await inPage(page, attacks[kind], target(at.httpEvil, name), name);
    await seen(name);
    return { result: String(result) };
  }));
}
for (const kind of Object.keys(attacks)) {
  await run(`neighbour ${kind}`, attack(at.neighbour, at.http, kind));
  await run(`stranger ${kind}`, attack(at.stranger, at.http, kind));
  await run(`tcp ${kind}`, attack(at.neighbour, at.tcp, kind));
  await run(`ws ${kind}`, attack(at.neighbour, at.ws.replace(/^ws/, "http"), kind));
}
await browser.close();
