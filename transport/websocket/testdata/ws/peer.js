// A peer that is not ours: npm's ws. It prints one line for each thing that it has seen.
'use strict';

const WebSocket = require('ws');

const url = process.argv[2];
const token = { Authorization: 'Bearer sesame' };

// connect opens a conn, whose messages and end are read one by one.
function connect(protocols = ['rudderpost.v1'], headers = token, options = {}) {
  const ws = new WebSocket(url, protocols, { headers, ...options });
  const seen = [];
  const waiting = [];
  const see = (what) => (waiting.length ? waiting.shift()(what) : seen.push(what));
  ws.on('message', (data, binary) => see((binary ? 'binary ' : 'text ') + data));
  ws.on('pong', (data) => see('pong ' + data));
  ws.on('close', (code, reason) => see(`close ${code} ${reason}`));
  ws.on('unexpected-response', (_, r) => { see('status ' + r.statusCode); ws.terminate(); });
  ws.on('error', () => {});
  ws.next = () => (seen.length ? Promise.resolve(seen.shift()) : new Promise((f) => waiting.push(f)));
  ws.opened = new Promise((f) => ws.on('open', f));
  return ws;
}

async function main() {
  let ws = connect();
  await ws.opened;
  console.log('subprotocol', ws.protocol, 'extensions', JSON.stringify(ws.extensions));
  ws.send('{"id": 1}');
  console.log(await ws.next());
  const big = `{"id": 2, "x": "${'ä'.repeat(40000)}"}`;
  ws.send(big);
  console.log('big', (await ws.next()) === 'text ' + big);
  ws.send('{"id"', { fin: false });
  ws.send(': 3', { fin: false });
  ws.send('}', { fin: true });
  console.log('fragments', await ws.next());
  ws.ping('x');
  console.log(await ws.next());
  for (let i = 0; i < 1000; i++) ws.send(`{"id": ${i}}`);
  let many = true;
  for (let i = 0; i < 1000; i++) many &&= (await ws.next()) === `text {"id": ${i}}`;
  console.log('many', many);
  ws.send('{}');
  console.log(await ws.next());
  console.log(await ws.next());

  for (const message of [`{"x": "${'x'.repeat(200000)}"}`, Buffer.from('{}')]) {
    ws = connect();
    await ws.opened;
    ws.send(message);
    console.log(await ws.next());
    console.log(await ws.next());
  }

  ws = connect([]);
  await ws.opened;
  ws.send('[]');
  console.log('no subprotocol', await ws.next());
  console.log(await ws.next());

  console.log(await connect(['mqtt']).next());
  console.log(await connect(undefined, {}).next());
  console.log(await connect(undefined, { Authorization: 'Bearer open' }).next());
  console.log(await connect(undefined, undefined, { origin: 'https://evil.example' }).next());
}

main();
