/**
 * A listing is checkpointed by shard, each a range of keys. A run that was begun before is one shard, from the first key to the last; its items
 * were not counted by shard, so what it counts begins with what its tasks hold, and its digests with the next page.
 */
export const shards = `
CREATE TABLE shards (
  run INTEGER NOT NULL, number INTEGER NOT NULL, after BLOB, up_to BLOB, first_key BLOB, last_key BLOB, items INTEGER NOT NULL,
  source_objects INTEGER NOT NULL, source_bytes INTEGER NOT NULL, source_digest TEXT NOT NULL,
  destination_objects INTEGER NOT NULL, destination_digest TEXT NOT NULL, sealed INTEGER NOT NULL,
  PRIMARY KEY (run, number)) WITHOUT ROWID;

INSERT INTO shards
  SELECT r.number, 0, NULL, NULL, min(t.first_key), max(t.last_key),
    coalesce(sum(t.pending + t.copied + t.unchanged + t.skipped + t.failed + t.extra), 0),
    r.source_objects, r.source_bytes, '0000000000000000', r.destination_objects, '0000000000000000', r.sealed
  FROM runs r LEFT JOIN tasks t ON t.run = r.number WHERE r.pruned = 0 AND (r.sealed = 1 OR r.last_key IS NOT NULL) GROUP BY r.number;
`;
