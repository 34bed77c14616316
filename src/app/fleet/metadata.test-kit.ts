/** A server that plays EC2's instance metadata service, version 2: without a token nothing is told. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

export interface PlayedMetadata {
  readonly endpoint: string;
  /** By path below `latest/meta-data/`; absent: 404. */
  readonly says: Map<string, string>;
  /** Requests so far. */
  readonly asked: string[];
  /** The one that was given last counts no more. */
  expireToken(): void;
  /** Its clock is so much ahead of ours. */
  aheadMs: number;
}

export async function playMetadata(t: Pick<TestContext, 'after'>): Promise<PlayedMetadata> {
  let serial = 1;
  const played: PlayedMetadata = { endpoint: '', says: new Map([['autoscaling/target-lifecycle-state', 'InService']]), asked: [], expireToken: () => { serial++; }, aheadMs: 0 };
  const server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    played.asked.push(`${method} ${url}`);
    response.setHeader('date', new Date(Date.now() + played.aheadMs).toUTCString());
    const end = (status: number, text: string): void => { response.writeHead(status).end(text); };
    if (url === '/latest/api/token') return method === 'PUT' && headers['x-aws-ec2-metadata-token-ttl-seconds'] !== undefined ? end(200, `token-${serial}`) : end(400, 'Bad Request');
    if (headers['x-aws-ec2-metadata-token'] !== `token-${serial}`) return end(401, 'Unauthorized');
    const said = played.says.get(url.replace('/latest/meta-data/', ''));
    return said === undefined ? end(404, 'Not Found') : end(200, said);
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  t.after(() => { server.close(); server.closeAllConnections(); });
  return Object.assign(played, { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}
