// Requests that a page can make the browser send: functions, or their text, that run in the page. The arguments of each
// are a URL, and the name of the case, which it sends as the argument of the command.

// openSocket opens a WebSocket, sends the command, and returns the outcome.
export const openSocket = ([url, protocols, by]) => new Promise(done => {
  const socket = new WebSocket(url, protocols);
  socket.onopen = () => socket.send(JSON.stringify({ command: "fire", arguments: { by }, id: 1 }));
  socket.onmessage = ({ data }) => done({ opened: true, reply: data });
  socket.onclose = ({ code }) => done({ opened: false, code });
});

// A form whose body is JSON, if the browser sends it unencoded: the name and the value of its field, with = between them.
const form = enctype => `([url, by]) => {
  const frame = document.createElement("iframe");
  frame.name = "answer";
  const form = document.createElement("form");
  form.method = "POST";
  form.action = url;
  form.enctype = ${JSON.stringify(enctype)};
  form.target = "answer";
  const field = document.createElement("input");
  field.name = '{"command":"fire","arguments":{"by":' + JSON.stringify(by).slice(0, -1);
  field.value = '"}}';
  form.append(field);
  document.body.append(frame, form);
  form.submit();
}`;

// An element that makes the browser send a GET request.
const element = (name, attribute, more = "") => `([url]) => {
  const element = document.createElement(${JSON.stringify(name)});
  ${more}
  element[${JSON.stringify(attribute)}] = url + "&command=fire";
  document.head.append(element);
}`;

// A POST request with a body, with the given options.
const post = options => `async ([url, by]) => {
  const body = JSON.stringify({ command: "fire", arguments: { by } });
  try {
    const answer = await fetch(url, { method: "POST", credentials: "include", ...(${options})(body) });
    return answer.type + " " + answer.status;
  } catch (error) {
    return error.name;
  }
}`;

const beacon = type => `([url, by]) => navigator.sendBeacon(url,
  new Blob([JSON.stringify({ command: "fire", arguments: { by } })], { type: ${JSON.stringify(type)} }))`;

export const attacks = {
  "form-text": form("text/plain"),
  "form-urlencoded": form("application/x-www-form-urlencoded"),
  "form-multipart": form("multipart/form-data"),
  "fetch-text": post(`body => ({ mode: "no-cors", headers: { "Content-Type": "text/plain" }, body })`),
  "fetch-untyped": post(`body => ({ mode: "no-cors", body: new Blob([body]) })`),
  "fetch-json": post(`body => ({ mode: "cors", headers: { "Content-Type": "application/json" }, body })`),
  "fetch-health": `([url]) => fetch(url.replace("/?", "/healthz?")).then(answer => answer.text(), error => error.name)`,
  "beacon-text": beacon("text/plain"),
  "beacon-json": beacon("application/json"),
  "ping": `([url]) => {
    const link = document.createElement("a");
    link.href = "#";
    link.ping = url;
    document.body.append(link);
    link.click();
  }`,
  "image": element("img", "src"),
  "script": element("script", "src"),
  "stylesheet": element("link", "href", `element.rel = "stylesheet";`),
  "prefetch": element("link", "href", `element.rel = "prefetch";`),
};
