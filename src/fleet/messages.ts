/**
 * What a message looks like on the wire: JSON with a version, sealed with HMAC-SHA-256 (RFC 2104, FIPS 180-4), so that a worker does nothing on
 * the word of whoever can write to the queue. What a task says is the body's matter; this is about the envelope alone:
 *
 *   {"v":1,"kind":"task","id":"…","spec":{"id":"…","sha256":"…"},"body":{…},"mac":"<64 hex digits>"}
 *
 * The seal is over the canonical form (RFC 8785) of everything but `mac`: fields of each object in order, no spaces, numbers and strings as
 * JSON.stringify writes them. What is read is what was sealed: it is taken from the same parsed value. There are no secrets in a message (truth 13).
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { canonicalJson } from '../core/canonical-json.ts';
import { BrigadeError, oneLine, usageError } from '../core/errors.ts';
import type { Secret } from '../core/secret.ts';

export const MESSAGE_VERSION = 1;
/** Design §5: what is larger goes by reference to the journal. */
export const LARGEST_ENVELOPE = 256 * 1024;

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** The migration that a message belongs to: what its worker must have, byte for byte, before it does anything. */
export interface SpecReference {
  readonly id: string;
  /** 64 hex digits, of the saved migration. */
  readonly sha256: string;
}

export interface Envelope<Kind extends string = string, Body extends Json = Json> {
  readonly kind: Kind;
  /** The task's. */
  readonly id: string;
  readonly spec: SpecReference;
  readonly body: Body;
}

/** Which kinds there are, and the type of each one's body. */
export type Bodies = Readonly<Record<string, Json>>;
export type AnyEnvelope<B extends Bodies> = { [K in keyof B & string]: Envelope<K, B[K]> }[keyof B & string];

/** Says what is wrong with a body, or nothing: the shape that a kind of message must have. */
export type BodyCheck = (body: Json, id: string) => string | undefined;

export interface MessageKeys {
  /** Seals what is sent. */
  readonly current: Secret;
  /** Also opens: during a rotation the one before, or the one to come. */
  readonly other?: Secret;
}

export interface Codec<B extends Bodies> {
  /** @throws object E_MESSAGE_TOO_LARGE */
  seal(envelope: AnyEnvelope<B>): string;
  /** @throws object E_MESSAGE_TOO_LARGE, E_MESSAGE_FOREIGN, E_MESSAGE_SIGNATURE, E_MESSAGE_SHAPE; unsupported E_MESSAGE_VERSION. One line each, without the message. */
  open(text: string): AnyEnvelope<B>;
}

const SHORTEST_KEY = 32;
/** Deeper is nothing of ours, and a recursion should not find out how deep. */
const DEEPEST = 64;
const HEX_SHA256 = /^[0-9a-f]{64}$/;
const ID = /^[A-Za-z0-9_.@:/-]{1,128}$/;

/** @throws usage E_MESSAGE_KEY for a key that could be guessed */
export function messageCodec<B extends Bodies>(keys: MessageKeys, checks: Readonly<Record<keyof B & string, BodyCheck>>, largestBytes = LARGEST_ENVELOPE): Codec<B> {
  const sealing = keyBytes(keys.current);
  const opening = keys.other === undefined ? [sealing] : [sealing, keyBytes(keys.other)];
  return {
    seal: ({ kind, id, spec, body }) => {
      const fields = { v: MESSAGE_VERSION, kind, id, spec: { ...spec }, body };
      // The seal at the end: who looks at a queue sees first what it is.
      const text = escapeForeign(`${JSON.stringify(fields).slice(0, -1)},"mac":"${mac(sealing, canonical(fields)).toString('hex')}"}`);
      refuseLarge(text, largestBytes);
      return text;
    },
    open: (text) => {
      refuseLarge(text, largestBytes);
      const { mac: seal, ...fields } = parse(text);
      refuseVersion(fields['v']);
      refuseUnsealed(seal, canonical(fields), opening);
      return envelopeOf<B>(fields, checks);
    },
  };
}

function keyBytes(key: Secret): Buffer {
  const bytes = Buffer.from(key.reveal(), 'utf8');
  if (bytes.length < SHORTEST_KEY) throw usageError('E_MESSAGE_KEY', `a message key has at least ${SHORTEST_KEY} bytes, this one ${bytes.length}`, 'make one with `openssl rand -hex 32`', '--message-key');
  return bytes;
}

const mac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text, 'utf8').digest();

/** JSON.stringify leaves two characters as they are that queues do not take. Neither stands outside of strings. */
function escapeForeign(json: string): string {
  return json.replaceAll(/[\ufffe\uffff]/g, (character) => `\\u${character.charCodeAt(0).toString(16)}`);
}

type Fields = { readonly [key: string]: Json };

/** @throws E_MESSAGE_FOREIGN when nested deeper than anything of ours */
function canonical(value: Json): string {
  return canonicalJson(value, (depth) => {
    if (depth > DEEPEST) throw foreign('it is nested too deeply');
  });
}

function parse(text: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw foreign('it is not JSON', cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !('v' in value)) throw foreign('it has no version');
  return value as Fields;
}

function refuseLarge(text: string, largest: number): void {
  const bytes = Buffer.byteLength(text, 'utf8');
  if (bytes > largest) throw bad('E_MESSAGE_TOO_LARGE', `the message has ${bytes} bytes, ${largest} are allowed`, 'send it by reference to the journal, or fewer objects per task');
}

function refuseVersion(version: Json | undefined): void {
  if (version === MESSAGE_VERSION) return;
  throw new BrigadeError({
    code: 'E_MESSAGE_VERSION', kind: 'unsupported', op: 'open message', message: `the message has version ${oneLine(JSON.stringify(version), 20)}, this program reads ${MESSAGE_VERSION}`,
    hint: 'run coordinator and workers of the same release',
  });
}

/** Both keys are always tried, in constant time each. */
function refuseUnsealed(seal: Json | undefined, text: string, keys: readonly Buffer[]): void {
  const given = Buffer.from(typeof seal === 'string' && HEX_SHA256.test(seal) ? seal : '', 'hex');
  const matches = keys.map((key) => mac(key, text)).filter((expected) => given.length === expected.length && timingSafeEqual(given, expected));
  if (matches.length === 0) throw bad('E_MESSAGE_SIGNATURE', 'the signature of the message is wrong', 'give coordinator and workers the same --message-key, or look who else writes to this queue');
}

function envelopeOf<B extends Bodies>(fields: Fields, checks: Readonly<Record<keyof B & string, BodyCheck>>): AnyEnvelope<B> {
  const { kind, id, spec, body } = fields;
  if (typeof kind !== 'string' || !Object.hasOwn(checks, kind)) throw shape('its kind is unknown');
  if (typeof id !== 'string' || !ID.test(id)) throw shape('it has no id');
  const reference = specOf(spec);
  const wrong = body === undefined ? 'it has no body' : checks[kind as keyof B & string](body, id);
  if (wrong !== undefined) throw shape(wrong);
  return { kind, id, spec: reference, body } as AnyEnvelope<B>;
}

function specOf(spec: Json | undefined): SpecReference {
  const { id, sha256 } = (typeof spec === 'object' && spec !== null ? spec : {}) as Fields;
  if (typeof id !== 'string' || !ID.test(id) || typeof sha256 !== 'string' || !HEX_SHA256.test(sha256)) throw shape('it does not say which migration it belongs to');
  return { id, sha256 };
}

const foreign = (why: string, cause?: unknown): BrigadeError => bad('E_MESSAGE_FOREIGN', `this is no message of ours: ${why}`, 'look who else writes to this queue', cause);
/** Sealed by us and yet wrong: another release, or a defect. */
const shape = (why: string): BrigadeError => bad('E_MESSAGE_SHAPE', `the message is sealed, but ${oneLine(why, 200)}`, 'run coordinator and workers of the same release');

function bad(code: string, message: string, hint: string, cause?: unknown): BrigadeError {
  return new BrigadeError({ code, kind: 'object', op: 'message', message, hint, ...(cause === undefined ? {} : { cause }) });
}
