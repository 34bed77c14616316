/** A gateway over files may know no ETag: then the time of the last change is the token. Reads check it (objects.ts). */
export const TIME_TOKEN = 'modified:';

export function timeToken(modifiedMs: number | undefined): string {
  return modifiedMs === undefined ? '' : `${TIME_TOKEN}${Math.floor(modifiedMs / 1000)}`;
}
