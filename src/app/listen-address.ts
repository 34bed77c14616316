/** Where an agent, or whoever shows metrics, listens. */
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

const wrong = (text: string, what: string, flag: string): Error => usageError('E_USAGE', what, `write ${flag} HOST:PORT, such as 127.0.0.1:9000, 0.0.0.0:9000 or [::1]:9000`, `${flag} ${text}`);

function split(text: string, flag: string): { name: string; port: number } {
  const found = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? /^()()(\d{1,5})$/.exec(text);
  const port = Number(found?.[3] ?? NaN);
  if (found === null || port > 65_535) throw wrong(text, 'this is not HOST:PORT', flag);
  return { name: found[1] || found[2] || (text.startsWith(':') ? '0.0.0.0' : '127.0.0.1'), port };
}

/** `HOST:PORT`, `[IPv6]:PORT`, `:PORT` (every interface) or `PORT` (this machine only). A name is looked up once. @throws BrigadeError E_USAGE */
export async function listenAddress(text: string, flag = '--listen'): Promise<ListenAddress> {
  const { name, port } = split(text, flag);
  if (isIP(name) !== 0) return { host: name, port, loopback: isLoopback(name) };
  try {
    const { address } = await lookup(name);
    return { host: address, port, loopback: isLoopback(address) };
  } catch (thrown) {
    throw wrong(text, `the name ${JSON.stringify(name)} does not resolve (${(thrown as NodeJS.ErrnoException).code ?? 'error'})`, flag);
  }
}

const LISTEN_ERRORS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there', EACCES: 'this user may not listen there', EADDRNOTAVAIL: 'this machine has no such address',
};

/** `begin` listens. @throws BrigadeError usage E_LISTEN in words for what the system says of the address */
export async function listening<T>(begin: () => Promise<T>, text: string, flag = '--listen'): Promise<T> {
  try {
    return await begin();
  } catch (thrown) {
    const { code, syscall } = thrown as NodeJS.ErrnoException;
    if (syscall !== 'listen' && syscall !== 'bind') throw thrown;
    throw usageError('E_LISTEN', LISTEN_ERRORS[code ?? ''] ?? `the address cannot be listened on (${code ?? 'error'})`, 'choose another address or port', `${flag} ${text}`);
  }
}
