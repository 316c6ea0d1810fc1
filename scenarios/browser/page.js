// What a page does with a WebTransport session. Each function returns what it saw; nothing is judged here.
"use strict";

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

async function connect(url, hash) {
  const options = {};
  if (hash) {
    const value = Uint8Array.from(hash.match(/../g), (pair) => parseInt(pair, 16));
    options.serverCertificateHashes = [{ algorithm: "sha-256", value }];
  }
  const transport = new WebTransport(url, options);
  transport.closed.catch(() => {});
  await transport.ready;
  return transport;
}

async function readAll(readable) {
  const parts = [];
  for await (const part of readable) parts.push(...part);
  return Uint8Array.from(parts);
}

async function writeAll(writable, bytes) {
  const writer = writable.getWriter();
  await writer.write(bytes);
  await writer.close();
}

// Data of this length, so that two streams of a session never carry the same.
const pattern = (length) => Uint8Array.from({ length }, (_, index) => (index * 7 + length) & 255);

const PLAYS = {
  async bidi(url, hash, length) {
    const transport = await connect(url, hash);
    const stream = await transport.createBidirectionalStream();
    const [answer] = await Promise.all([readAll(stream.readable), writeAll(stream.writable, pattern(length))]);
    transport.close();
    return { sent: hex(pattern(length)), received: hex(answer) };
  },

  async uni(url, hash, length) {
    const transport = await connect(url, hash);
    await writeAll(await transport.createUnidirectionalStream(), pattern(length));
    const incoming = transport.incomingUnidirectionalStreams.getReader();
    const { value } = await incoming.read();
    const answer = await readAll(value);
    transport.close();
    return { sent: hex(pattern(length)), received: hex(answer) };
  },

  async datagram(url, hash, length) {
    const transport = await connect(url, hash);
    const payload = pattern(length);
    const writer = transport.datagrams.writable.getWriter();
    const reading = transport.datagrams.readable.getReader().read();
    let answer = null;
    reading.then((result) => { answer = result.value; });
    for (let attempt = 0; attempt < 20 && !answer; attempt += 1) {
      await writer.write(payload);
      await Promise.race([reading, new Promise((resolve) => setTimeout(resolve, 100))]);
    }
    transport.close();
    return { sent: hex(payload), received: answer ? hex(answer) : "" };
  },

  async closedByServer(url, hash) {
    const transport = await connect(url, hash);
    const info = await transport.closed;
    return { code: info.closeCode, reason: info.reason };
  },

  async closedByPage(url, hash, read, code, reason) {
    const transport = await connect(url, hash);
    transport.close({ closeCode: code, reason });
    await transport.closed;
    const reader = await connect(read, hash);
    for (let attempt = 0; attempt < 50; attempt += 1) {
      const stream = await reader.createBidirectionalStream();
      const [answer] = await Promise.all([readAll(stream.readable), stream.writable.getWriter().close()]);
      const lines = new TextDecoder().decode(answer).split("\n").filter(Boolean).map((line) => JSON.parse(line));
      const found = lines.find((line) => line.event === "closed");
      if (found) {
        reader.close();
        return { code: found.code, reason: found.reason };
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return { code: null, reason: "the server's application did not see the close" };
  },

  // The client of Devious Baton: uni -> new bidi, reply on it -> new uni, bidi of the server -> same stream.
  async baton(url, hash, count) {
    const transport = await connect(url, hash);
    const received = [];
    const sent = [];
    const message = (value) => { sent.push(value); return Uint8Array.of(0, value); };
    const take = async (readable) => {
      const bytes = await readAll(readable);
      const prefix = 1 << (bytes[0] >> 6);
      let padding = BigInt(bytes[0] & 63);
      for (let index = 1; index < prefix; index += 1) padding = (padding << 8n) | BigInt(bytes[index]);
      if (BigInt(bytes.length) !== BigInt(prefix) + padding + 1n) throw new Error(`malformed: ${hex(bytes)}`);
      received.push(bytes[bytes.length - 1]);
      return bytes[bytes.length - 1];
    };
    let active = count;
    const over = () => { active -= 1; };
    // The last 0 lets the server end the session, perhaps before the browser has told that it was written.
    const send = async (writable, value) => {
      const written = writeAll(writable, message(value));
      if (value !== 0) return written;
      over();
      return written.catch(() => {});
    };
    const fromUni = async (readable) => {
      const value = await take(readable);
      if (value === 0) return over();
      const stream = await transport.createBidirectionalStream();
      const next = (value + 1) & 255;
      await send(stream.writable, next);
      if (next === 0) return undefined;
      const answer = await take(stream.readable);
      if (answer === 0) return over();
      return send(await transport.createUnidirectionalStream(), (answer + 1) & 255);
    };
    const fromBidi = async (stream) => {
      const value = await take(stream.readable);
      return value === 0 ? over() : send(stream.writable, (value + 1) & 255);
    };
    const finished = new Promise((resolve, reject) => {
      const watch = (work) => work.then(() => { if (active === 0) resolve(); }, reject);
      const serve = async (streams, handle) => { for await (const stream of streams) watch(handle(stream)); };
      serve(transport.incomingUnidirectionalStreams, fromUni).catch(() => {});
      serve(transport.incomingBidirectionalStreams, fromBidi).catch(() => {});
    });
    await finished;
    // Whoever receives the last 0 ends the session; where this page sent it, that is the server.
    const server = transport.closed.then((info) => ({ code: info.closeCode, reason: info.reason }));
    const patience = new Promise((resolve) => setTimeout(() => resolve(null), sent.includes(0) ? 3000 : 0));
    const end = await Promise.race([server, patience]);
    transport.close();
    return { received: received.sort((a, b) => a - b), sent: sent.sort((a, b) => a - b), end };
  },
};

async function play(name, ...parameters) {
  return PLAYS[name](...parameters);
}
