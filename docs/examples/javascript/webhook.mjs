// Receives webhooks with Node.js 18 or later, without packages:
//
//   WEBHOOK_SECRET=whsec_… node webhook.mjs 9000
//
// It checks both signatures that a delivery carries; one would do, so take the function that suits you. During a rotation give it
// the old and the new secret, separated by a space. Prints each event as a line of JSON, once.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const secrets = (process.env.WEBHOOK_SECRET ?? "").split(" ").filter(Boolean);
const tolerance = 300; // seconds that a delivery may be old, or ahead of our clock
const largest = 1 << 20; // bytes of a body that we read

const same = (a, b) => a.length === b.length && timingSafeEqual(a, b); // takes as long for a near miss as for nonsense

// X-Matric-Signature, of the family of X-Hub-Signature-256: the secret's text is the key, the body alone is signed.
export function verifyBody(secret, headers, body) {
  const [, hex] = /^sha256=([0-9a-f]{64})$/.exec(headers["x-matric-signature"] ?? "") ?? [];
  return hex !== undefined && same(Buffer.from(hex, "hex"), createHmac("sha256", secret).update(body).digest());
}

// Standard Webhooks (webhook-id, webhook-timestamp, webhook-signature): the key is what the secret holds behind whsec_, in
// base64. The time is signed as well, so that nobody can send an old delivery again. A secret of your own choice that is no
// such thing is the key itself.
export function verifyStandard(secret, headers, body, now = Date.now() / 1000) {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": list } = headers;
  if (!id || !list || !/^\d+$/.test(timestamp ?? "") || Math.abs(now - Number(timestamp)) > tolerance) return false;
  const key = secret.startsWith("whsec_") ? Buffer.from(secret.slice("whsec_".length), "base64") : Buffer.from(secret);
  const want = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest();
  return list.split(" ").some((one) => one.startsWith("v1,") && same(Buffer.from(one.slice("v1,".length), "base64"), want));
}

// Deliveries come at least once: webhook-id is the event's ID, so remember the ones that were done. Here in memory; in earnest
// it is a unique column, written in the transaction that the event causes.
const done = new Set();

function handle(event) {
  console.log(JSON.stringify(event));
}

const server = createServer((request, response) => {
  const answer = (status) => response.writeHead(status, { Connection: status === 204 ? "keep-alive" : "close" }).end();
  const chunks = [];
  let size = 0;
  request.on("data", (chunk) => {
    if ((size += chunk.length) > largest) request.destroy();
    else chunks.push(chunk);
  });
  request.on("end", () => {
    const body = Buffer.concat(chunks); // as it came: a body that was parsed and printed again has another signature
    if (request.method !== "POST") return answer(405);
    if (!secrets.some((s) => verifyStandard(s, request.headers, body)) || !secrets.some((s) => verifyBody(s, request.headers, body))) {
      return answer(401);
    }
    const id = request.headers["webhook-id"];
    if (!done.has(id)) {
      try {
        handle(JSON.parse(body));
      } catch (error) {
        console.error(error);
        return answer(500); // the hub tries again later
      }
      done.add(id);
      if (done.size > 100_000) done.delete(done.values().next().value);
    }
    answer(204); // quickly: work that takes longer than some seconds goes into a queue of yours
  });
});

server.listen(Number(process.argv[2] ?? 9000), "127.0.0.1", () => console.error(`receiving on http://127.0.0.1:${server.address().port}/`));
