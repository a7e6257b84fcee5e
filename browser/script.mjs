// This program runs each case in a browser, and prints its outcome as one line of JSON. Its input is JSON on standard
// input. browser_test.go checks the outcomes.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

import { attacks, openSocket } from "./attacks.mjs";

const at = JSON.parse(readFileSync(0, "utf8"));

const browser = await chromium.launch({ // with a new profile, which is removed at the end
  executablePath: at.chromium,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    `--host-resolver-rules=MAP evil.test ${new URL(at.allowed).hostname}`,
    `--ignore-certificate-errors-spki-list=${at.keys.join(",")}`,
  ],
});
const user = await browser.newContext({ viewport: { width: 1000, height: 560 } });

// run runs one case in a new page.
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

// seen waits until the request of a case has a response.
async function seen(name) {
  const answer = await fetch(`${at.allowed}/seen?case=${encodeURIComponent(name)}`);
  if (!answer.ok) throw new Error(await answer.text());
}

// inPage runs a function, given as a function or as text, in a page.
const inPage = (page, source, ...given) => page.evaluate(`(${source})(${JSON.stringify(given)})`);

const target = (url, name) => `${url}/?case=${encodeURIComponent(name)}`;

// allowedPage opens page.html, which shows its requests and replies.
const allowedPage = (origin, url) => async (page, name) => {
  await page.goto(`${origin}/#${new URLSearchParams({ url: target(url, name), by: name })}`);
  await page.locator("#state[data-closed]").waitFor();
  if (name === "allowed") await page.screenshot({ path: at.screenshot });
  return { state: await page.locator("#state").textContent(), frames: await page.locator("li").allTextContents() };
};

// socket opens a WebSocket in an empty page.
const socket = (origin, url, protocols = ["rudderpost.v1"]) => async (page, name) => {
  await page.goto(`${origin}/empty`);
  return inPage(page, openSocket, target(url, name), protocols, name);
};

// framed opens a WebSocket in a frame without an origin, inside an allowed page. place puts the text into the frame.
const framed = (url, place) => async (page, name) => {
  await page.goto(`${at.allowed}/empty`);
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

// rebound loads a page from another server under the name of the daemon, as DNS rebinding does.
const rebound = (url, steps) => async (page, name) => {
  const origin = url.replace(/^ws/, "http");
  await page.route(`${origin}/before`, route => route.continue({ url: `${at.allowed}/empty` }));
  await page.goto(`${origin}/before`);
  return steps(page, name);
};

await run("not logged in", socket(at.allowed, at.ws));
await run("login", async (page, name) => {
  await page.goto(`${at.allowed}/login`);
  await page.goto(`${at.secure}/login`);
  // The browser keeps the password, as after its own dialogue, and sends it with later requests.
  await page.goto(`${at.http}/healthz`);
  const post = ([url, by, user, password]) => new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open("POST", url, true, user, password);
    request.setRequestHeader("Content-Type", "application/json");
    request.onload = () => done(request.status);
    request.onerror = () => fail(new Error("the request failed"));
    request.send(JSON.stringify({ command: "fire", arguments: { by } }));
  });
  const first = await page.evaluate(post, [target(at.http, name), "http", at.user, at.password]);
  const second = await page.evaluate(post, [target(at.http, name), "http, password kept"]);
  return { statuses: [first, second] };
});

await run("allowed", allowedPage(at.allowed, at.ws));
await run("allowed over TLS", allowedPage(at.secure, at.wss));
await run("allowed, certificates known", allowedPage(at.secure, at.wssMutual));
await run("unknown certificate", socket(at.secure, at.wssUnknown));
await run("no subprotocol", socket(at.allowed, at.ws, []));
await run("another subprotocol", socket(at.allowed, at.ws, ["chat"]));
await run("other port, allowed", socket(at.otherPort, at.wsLenient));
await run("other port", socket(at.otherPort, at.ws));
await run("other host", socket(at.otherHost, at.ws));
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
  await run(`other port ${kind}`, attack(at.otherPort, at.http, kind));
  await run(`other host ${kind}`, attack(at.otherHost, at.http, kind));
  await run(`tcp ${kind}`, attack(at.otherPort, at.tcp, kind));
  await run(`ws ${kind}`, attack(at.otherPort, at.ws.replace(/^ws/, "http"), kind));
}
await browser.close();
