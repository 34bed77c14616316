/** Attributes and checksums as they lie in the database: JSON, because they are read whole and never searched. */
import type { Checksum } from '../checksums.ts';
import type { Attributes, StoredPart } from '../layout.ts';

export interface SavedAttributes {
  readonly system: readonly (readonly [string, string])[];
  readonly meta: readonly (readonly [string, string])[];
  readonly tags: Attributes['tags'];
  readonly echoed: readonly (readonly [string, string])[];
}

export const saveAttributes = (attributes: Attributes): SavedAttributes =>
  ({ system: [...attributes.system], meta: [...attributes.meta], tags: attributes.tags, echoed: [...attributes.echoed] });

export const loadAttributes = (saved: SavedAttributes, storageClass: string): Attributes =>
  ({ system: new Map(saved.system), meta: new Map(saved.meta), tags: saved.tags, echoed: new Map(saved.echoed), storageClass });

/** Parts of an object, without the bytes. */
export type SavedPart = readonly [number: number, size: number, etag: string, modified: number, checksum: Checksum | null];

export const savePart = (part: StoredPart): SavedPart => [part.number, part.size, part.etag, part.modified, part.checksum ?? null];

export const loadPart = ([number, size, etag, modified, checksum]: SavedPart): StoredPart =>
  ({ number, size, etag, modified, checksum: checksum ?? undefined });

/** A piece of a body: a file of ours by its id. */
export interface Piece {
  readonly id: string;
  readonly size: number;
}

export const savePieces = (pieces: readonly Piece[]): string => JSON.stringify(pieces.map(({ id, size }) => [id, size]));
export const loadPieces = (text: string): Piece[] => (JSON.parse(text) as [string, number][]).map(([id, size]) => ({ id, size }));

/** A column as a string, number or undefined for NULL. */
export type Row = Readonly<Record<string, unknown>>;
export const textOf = (row: Row, name: string): string => row[name] as string;
export const numberOf = (row: Row, name: string): number => row[name] as number;
