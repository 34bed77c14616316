/**
 * Plain messages come in here (plain-message.ts): for each it is found whose it is. Only a migration that was offered may be: what names two buckets that no
 * operator has offered waits, and is told once; what several could mean is nobody's.
 */
import { asBrigadeError, BrigadeError, errorLine, isKind } from '../../core/errors.ts';
import type { Key } from '../../core/key.ts';
import type { SizeClass } from '../../core/pack.ts';
import type { MessageDelivery } from '../../ports/message-queue.ts';
import { taskId } from '../content.ts';
import type { SpecReference } from '../messages.ts';
import type { Offer } from '../offer-message.ts';
import { plainName, type PlainMessage, readPlain } from '../plain-message.ts';
import { elsewhereMs } from './held.ts';

/** As a migration is handed it, beside sealed tasks. */
export interface PlainTask {
  readonly kind: 'plain';
  readonly id: string;
  readonly spec: SpecReference;
  readonly body: {
    /** No run of a coordinator ends it. */
    readonly run: number;
    /** Not known before it is looked at. */
    readonly size: SizeClass;
    /** What the queue calls it. */
    readonly message: string;
    /** As the migration's source has them, without its prefix; in key order. */
    readonly keys: readonly Key[];
    /** Not below its prefix: as the message has them. */
    readonly outside: readonly Key[];
  };
}

export interface PlainIntakeOptions {
  /** Of these two buckets. */
  readonly offers: (source: string, destination: string) => Promise<readonly Offer[]>;
  /** Name of the queue, for messages and for names. */
  readonly queue: string;
  /** Said once, however often it is true. */
  readonly once: (what: string, text: string) => void;
}

const NO_RUN = Number.MAX_SAFE_INTEGER;

export class PlainIntake {
  readonly #options: PlainIntakeOptions;

  constructor(options: PlainIntakeOptions) {
    this.#options = options;
  }

  /** Undefined: it is answered already. Never rejects: where an answer to the queue fails, the message comes again. */
  async take(delivery: MessageDelivery): Promise<PlainTask | undefined> {
    const { offers, queue, once } = this.#options;
    try {
      const message = readPlain(delivery.body);
      const { source, destination } = message;
      const found = chosen(await offers(source, destination), message);
      if (found !== undefined) return taskOf(found, message, queue, delivery);
      once(`plain ${source} ${destination}`, `${queue}: plain messages wait: ${errorLine(unknown(message))}`);
      await delivery.release(elsewhereMs(delivery.receives));
    } catch (thrown) {
      await this.#refuse(delivery, asBrigadeError(thrown, 'plain message')).catch(() => undefined);
    }
    return undefined;
  }

  #refuse(delivery: MessageDelivery, error: BrigadeError): Promise<void> {
    const { queue, once } = this.#options;
    const isFinal = isKind(error, 'object');
    once(`plain ${error.code}`, `${queue}: a plain message ${isFinal ? 'is put aside' : 'goes back'}: ${errorLine(error)}`);
    return isFinal ? delivery.park(errorLine(error)) : delivery.release(elsewhereMs(delivery.receives));
  }
}

/** Of several between the same two buckets the one below whose prefix all the keys are. @throws BrigadeError object E_PLAIN_AMBIGUOUS */
export function chosen(offers: readonly Offer[], { source, destination, keys }: PlainMessage): Offer | undefined {
  if (offers.length <= 1) return offers[0];
  const holding = offers.filter(({ source: { prefix } }) => keys.every((key) => isBelow(key, prefix)));
  if (holding.length === 1) return holding[0];
  const names = (holding.length === 0 ? offers : holding).map(({ spec }) => spec.id).join(', ');
  throw new BrigadeError({
    code: 'E_PLAIN_AMBIGUOUS', kind: 'object', op: 'plain message',
    message: holding.length === 0 ? `the keys of a message from ${source} to ${destination} are below no one prefix of ${names}` : `a message from ${source} to ${destination} may mean ${names}`,
    hint: 'withdraw all offers but one (brigade offer --withdraw), give them prefixes that do not overlap, or send keys of one of them at a time',
  });
}

function unknown({ source, destination }: PlainMessage): BrigadeError {
  return new BrigadeError({ code: 'E_PLAIN_UNKNOWN', kind: 'premise', op: 'plain message', message: `they ask for ${source} → ${destination}, and no migration that is offered goes there`, hint: 'offer one: brigade offer FILE --journal …' });
}

const isBelow = (key: Key, prefix: string): boolean => key.startsWith(prefix) && key.length > prefix.length;

function taskOf({ spec, source: { prefix } }: Offer, { keys }: PlainMessage, queue: string, { id, body }: MessageDelivery): PlainTask {
  const inside = keys.filter((key) => isBelow(key, prefix)).map((key) => key.slice(prefix.length));
  const outside = keys.filter((key) => !isBelow(key, prefix));
  const both = new Set(inside);
  // Outcomes are told apart by their key; where one key would mean two objects, one of them would be taken for the other.
  if (outside.some((key) => both.has(key))) throw new BrigadeError({ code: 'E_PLAIN_KEY', kind: 'object', op: 'plain message', message: `it names keys with the prefix ${prefix} and the same ones without it`, hint: `send keys below ${prefix} only` });
  return { kind: 'plain', id: taskId(plainName(queue, id, body)), spec, body: { run: NO_RUN, size: 'small', message: id, keys: inside, outside } };
}
