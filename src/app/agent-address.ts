/** Where an agent listens. Beyond this machine it speaks only TLS. */
import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { usageError } from '../core/errors.ts';

export interface ListenAddress {
  /** An IP address. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly loopback: boolean;
}

const own = new BlockList();
own.addSubnet('127.0.0.0', 8, 'ipv4');
own.addAddress('::1', 'ipv6');

const isLoopback = (host: string): boolean => own.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4');

const wrong = (text: string, what: string): Error => usageError('E_USAGE', what, 'write --listen HOST:PORT, such as 127.0.0.1:9000, 0.0.0.0:9000 or [::1]:9000', `--listen ${text}`);

function split(text: string): { name: string; port: number } {
  const found = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? /^()()(\d{1,5})$/.exec(text);
  const port = Number(found?.[3] ?? NaN);
  if (found === null || port > 65_535) throw wrong(text, 'this is not HOST:PORT');
  return { name: found[1] || found[2] || (text.startsWith(':') ? '0.0.0.0' : '127.0.0.1'), port };
}

/** `HOST:PORT`, `[IPv6]:PORT`, `:PORT` (every interface) or `PORT` (this machine only). A name is looked up once. @throws BrigadeError E_USAGE */
export async function listenAddress(text: string): Promise<ListenAddress> {
  const { name, port } = split(text);
  if (isIP(name) !== 0) return { host: name, port, loopback: isLoopback(name) };
  try {
    const { address } = await lookup(name);
    return { host: address, port, loopback: isLoopback(address) };
  } catch (thrown) {
    throw wrong(text, `the name ${JSON.stringify(name)} does not resolve (${(thrown as NodeJS.ErrnoException).code ?? 'error'})`);
  }
}
