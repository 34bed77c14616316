/**
 * Tasks are handed out by size class: those whose objects are above 64 MiB on average (core/pack.ts, LARGE_BYTES) the largest first, the others
 * in key order. Only tasks that nobody holds stand in these indexes, so that counting outcomes costs nothing more.
 */
export const claims = `
CREATE INDEX tasks_small ON tasks (run) WHERE state = 'ready' AND pending_bytes <= pending * 67108864;
CREATE INDEX tasks_large ON tasks (run, pending_bytes) WHERE state = 'ready' AND pending_bytes > pending * 67108864;
`;
