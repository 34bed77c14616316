/**
 * JSON with the names of every object in one order and no spaces (RFC 8785): what means the same is written the same, to be hashed or sealed.
 * `enter` is told how deep each value lies before it is written, and may throw.
 */
export function canonicalJson(value: unknown, enter: (depth: number) => void = () => undefined, depth = 0): string {
  enter(depth);
  const inside = (inner: unknown): string => canonicalJson(inner, enter, depth + 1);
  if (Array.isArray(value)) return `[${value.map(inside).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([name, inner]) => `${JSON.stringify(name)}:${inside(inner)}`).join(',')}}`;
}
