// moto: an SQS in one Python process. It is slow, and forgets everything when it ends.
import { motoBinary } from './binaries.ts';
import { answers, freePort, type Server, startServer, untilReady } from './process.ts';

/** Starts moto's server. @throws Error when it is not installed or does not come up. */
export function startMoto(): Promise<Server> {
  const binary = motoBinary();
  return startServer('moto', async (place) => {
    const port = await freePort();
    const endpoint = `http://127.0.0.1:${port}`;
    const main = place.start('moto', [binary, '-H', '127.0.0.1', '-p', String(port)], { HOME: place.directory });
    await untilReady('moto', [main], () => answers(`${endpoint}/moto-api/`));
    return { name: 'moto', endpoint };
  });
}
