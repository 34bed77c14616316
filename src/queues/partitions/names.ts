/**
 * Where things lie on the shelf of a partitioned queue. Numbers have a fixed width, so that the order of names is the order of numbers.
 *
 *   maps/<map>                           who has which share, from its activation on
 *   maps/<map>.active                    it holds: all members of the map before it are drained
 *   seats/<map>/<member>/<term>          who sits there for this term
 *   seats/<map>/<member>/<term>.beat     that it still does, written again and again
 *   seats/<map>/<member>/<term>.left     it has gone, and what it had touched
 *   seats/<map>/<member>/drained         nobody works there any more, nor will
 *   inbox/<map>/<member>/<message>       what is to be done
 *   dead/<message>                       what was put aside
 */
const NUMBER = 8;
const MEMBER = 4;

const digits = (value: number, width: number): string => String(value).padStart(width, '0');

export const MAPS = 'maps/';
export const INBOXES = 'inbox/';
export const DEAD = 'dead/';

export const mapName = (map: number): string => MAPS + digits(map, NUMBER);
export const activeName = (map: number): string => `${mapName(map)}.active`;

/** What a name below `maps/` says. */
export function mapOf(name: string): { readonly map: number; readonly active: boolean } | undefined {
  const found = /^maps\/(\d{8})(\.active)?$/.exec(name);
  return found === null ? undefined : { map: Number(found[1]), active: found[2] !== undefined };
}

export interface SeatPlace {
  readonly map: number;
  /** From 1. */
  readonly member: number;
}

export const seatsOf = (map: number): string => `seats/${digits(map, NUMBER)}/`;
export const seatFolder = ({ map, member }: SeatPlace): string => `${seatsOf(map)}${digits(member, MEMBER)}/`;
export const termName = (seat: SeatPlace, term: number): string => seatFolder(seat) + digits(term, NUMBER);
export const beatName = (seat: SeatPlace, term: number): string => `${termName(seat, term)}.beat`;
export const leftName = (seat: SeatPlace, term: number): string => `${termName(seat, term)}.left`;
export const drainedName = (seat: SeatPlace): string => `${seatFolder(seat)}drained`;
/** Comes behind everything of this term and before everything of the next one. */
export const behindTerm = (seat: SeatPlace, term: number): string => `${termName(seat, term)}.z`;

export type SeatWord = { readonly member: number } & ({ readonly says: 'drained' } | { readonly says: 'taken' | 'left'; readonly term: number } | { readonly says: 'beat' });

/** What a name below `seats/` says. */
export function seatWordOf(name: string): SeatWord | undefined {
  const found = /^seats\/\d{8}\/(\d{4})\/(?:(drained)|(\d{8})(\.beat|\.left)?)$/.exec(name);
  if (found === null) return undefined;
  const member = Number(found[1]);
  if (found[2] !== undefined) return { member, says: 'drained' };
  if (found[4] === '.beat') return { member, says: 'beat' };
  return { member, says: found[4] === '.left' ? 'left' : 'taken', term: Number(found[3]) };
}

export const inboxFolder = ({ map, member }: SeatPlace): string => `${INBOXES}${digits(map, NUMBER)}/${digits(member, MEMBER)}/`;

export interface MessagePlace extends SeatPlace {
  readonly message: string;
}

export function messageOf(name: string): MessagePlace | undefined {
  const found = /^inbox\/(\d{8})\/(\d{4})\/([A-Za-z0-9_-]+)$/.exec(name);
  return found === null ? undefined : { map: Number(found[1]), member: Number(found[2]), message: found[3] as string };
}

const TIME = 14;
const COUNT = 6;

/** Of one sending: about in the order of sending, whoever sends. */
export const messageName = (atMs: number, count: number, id: string): string => `${digits(Math.max(0, Math.floor(atMs)), TIME)}-${digits(count % 10 ** COUNT, COUNT)}-${id}`;
