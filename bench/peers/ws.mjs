// An echo on node's `ws`: node ws.mjs [--port N] [--tls CERT KEY]
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { WebSocketServer } from 'ws';

const args = process.argv.slice(2);
const after = (name, n) => (args.includes(name) ? args[args.indexOf(name) + n] : undefined);
const tls = args.includes('--tls')
  ? { cert: readFileSync(after('--tls', 1)), key: readFileSync(after('--tls', 2)) }
  : null;

const server = tls ? createTlsServer(tls) : createServer();
const wss = new WebSocketServer({ server, perMessageDeflate: false });
wss.on('connection', (socket) => {
  socket.on('error', () => {});
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});
server.listen({ port: Number(after('--port', 1) ?? 0), host: '127.0.0.1', backlog: 4096 }, () =>
  console.log(`ready ${server.address().port}`),
);
process.on('SIGTERM', () => process.exit(0));
