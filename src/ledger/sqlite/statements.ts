/** Every statement of the ledger, by name. */
import { COUNT_COLUMNS } from './counts.ts';

const countParameters = COUNT_COLUMNS.map(() => '?').join(', ');
const addCounts = COUNT_COLUMNS.map((name) => `${name} = ${name} + ?`).join(', ');
const sumCounts = COUNT_COLUMNS.map((name) => `sum(${name}) AS ${name}`).join(', ');

export const SQL = {
  getMeta: 'SELECT value FROM meta WHERE name = ?',
  setMeta: 'INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',

  runs: 'SELECT * FROM runs ORDER BY number',
  run: 'SELECT * FROM runs WHERE number = ?',
  latestRun: 'SELECT * FROM runs ORDER BY number DESC LIMIT 1',
  addRun: "INSERT INTO runs (number, kind, state, stage, started_ms) VALUES (?, ?, 'active', 'listing', ?)",
  changeRun: 'UPDATE runs SET state = ?, stage = ?, pause = ?, ended_ms = ?, active_ms = active_ms + ?, resumes = resumes + ? WHERE number = ?',
  setListing: 'UPDATE runs SET sealed = ?, source_objects = ?, source_bytes = ?, destination_objects = ? WHERE number = ?',
  setPruned: 'UPDATE runs SET pruned = 1 WHERE number = ?',

  setShard: `INSERT INTO shards (run, number, after, up_to, first_key, last_key, items, source_objects, source_bytes, source_digest, destination_objects, destination_digest, sealed)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run, number) DO UPDATE SET up_to = excluded.up_to, first_key = excluded.first_key, last_key = excluded.last_key,
    items = excluded.items, source_objects = excluded.source_objects, source_bytes = excluded.source_bytes, source_digest = excluded.source_digest,
    destination_objects = excluded.destination_objects, destination_digest = excluded.destination_digest, sealed = excluded.sealed`,
  shards: 'SELECT * FROM shards WHERE run = ? ORDER BY after',
  heldIn: `SELECT min(first_key) AS first_key, max(last_key) AS last_key, coalesce(sum(pending + copied + unchanged + skipped + failed + extra), 0) AS items
    FROM tasks WHERE run = ? AND first_key >= ? AND first_key <= ?`,
  dropShards: 'DELETE FROM shards WHERE run = ?',

  addTask: `INSERT INTO tasks (run, state, first_key, last_key, ${COUNT_COLUMNS.join(', ')}) VALUES (?, ?, ?, ?, ${countParameters})`,
  task: 'SELECT id, run, state, holder, in_doubt, deliveries, pending FROM tasks WHERE id = ?',
  taskAt: 'SELECT id, first_key, last_key FROM tasks WHERE run = ? AND first_key <= ? ORDER BY first_key DESC LIMIT 1',
  nextTask: 'SELECT id, first_key, last_key FROM tasks WHERE run = ? AND first_key > ? ORDER BY first_key LIMIT 1',
  readyTasks: "SELECT id FROM tasks WHERE run = ? AND state = 'ready' ORDER BY id LIMIT ?",
  readySmall: "SELECT id FROM tasks INDEXED BY tasks_small WHERE run = ? AND state = 'ready' AND pending_bytes <= pending * 67108864 ORDER BY id LIMIT ?",
  readyLarge: "SELECT id FROM tasks INDEXED BY tasks_large WHERE run = ? AND state = 'ready' AND pending_bytes > pending * 67108864 ORDER BY pending_bytes DESC LIMIT ?",
  leaseTask: "UPDATE tasks SET state = 'leased', holder = ?, deliveries = deliveries + 1 WHERE id = ?",
  settleTask: 'UPDATE tasks SET state = ?, holder = NULL, in_doubt = ? WHERE id = ?',
  releaseAll: "UPDATE tasks SET state = 'ready', holder = NULL, in_doubt = 1 WHERE run = ? AND state = 'leased'",
  releaseOf: "UPDATE tasks SET state = 'ready', holder = NULL, in_doubt = 1 WHERE run = ? AND state = 'leased' AND holder = ?",
  releaseOne: "UPDATE tasks SET state = 'ready', holder = NULL, in_doubt = 1 WHERE run = ? AND state = 'leased' AND holder = ? AND id = ?",
  doubtOpen: "UPDATE tasks SET in_doubt = 1 WHERE state <> 'done'",
  countTask: `UPDATE tasks SET ${addCounts} WHERE id = ?`,

  addBlock: 'INSERT INTO blocks (task, data) VALUES (?, ?)',
  setBlock: 'UPDATE blocks SET data = ? WHERE task = ?',
  allPending: `SELECT run, first_key, last_key, data FROM tasks JOIN blocks ON blocks.task = tasks.id WHERE tasks.id = ?1 AND copied + unchanged + skipped + failed + extra = 0
    AND NOT EXISTS (SELECT 1 FROM outcomes WHERE task = ?1)`,
  range: 'SELECT first_key, last_key FROM tasks WHERE id = ?',
  layers: 'SELECT 0 AS layer, data FROM blocks WHERE task = ?1 UNION ALL SELECT id, data FROM outcomes WHERE task = ?1 ORDER BY 1',
  addOutcomes: 'INSERT INTO outcomes (task, data) VALUES (?, ?)',
  clearOutcomes: 'DELETE FROM outcomes WHERE task = ?',

  addProblem: 'INSERT INTO problems (code, kind, message, hint) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET code = code RETURNING id',
  setObject: 'INSERT INTO objects (run, key, task, state, problem) VALUES (?, ?, ?, ?, ?) ON CONFLICT (run, key) DO UPDATE SET state = excluded.state, problem = excluded.problem',
  anyObject: 'SELECT 1 FROM tasks JOIN objects ON objects.run = tasks.run AND objects.key BETWEEN tasks.first_key AND tasks.last_key WHERE tasks.id = ? LIMIT 1',
  dropObject: 'DELETE FROM objects WHERE run = ? AND key = ?',
  object: 'SELECT p.code, p.kind, p.message, p.hint FROM objects o JOIN problems p ON p.id = o.problem WHERE o.run = ? AND o.key = ?',
  firstObjects: `SELECT o.key, o.task, o.state, p.code, p.kind, p.message, p.hint FROM objects o JOIN problems p ON p.id = o.problem
    WHERE o.run = ? AND o.key >= ? ORDER BY o.key LIMIT 500`,
  nextObjects: `SELECT o.key, o.task, o.state, p.code, p.kind, p.message, p.hint FROM objects o JOIN problems p ON p.id = o.problem
    WHERE o.run = ? AND o.key > ? ORDER BY o.key LIMIT 500`,
  objectsOfTask: `SELECT o.key, p.code, p.kind, p.message, p.hint FROM objects o JOIN problems p ON p.id = o.problem
    WHERE o.run = ? AND o.key >= ? AND o.key <= ?`,

  countLoud: `SELECT count(*) FILTER (WHERE o.state = 'failed') AS failed, count(*) FILTER (WHERE o.state = 'skipped') AS skipped
    FROM objects o JOIN problems p ON p.id = o.problem WHERE o.run = ?`,

  addTally: 'INSERT INTO tallies (run) VALUES (?)',
  tally: 'SELECT * FROM tallies WHERE run = ?',
  countRun: `UPDATE tallies SET ${addCounts} WHERE run = ?`,
  sumTasks: `SELECT run, ${sumCounts} FROM tasks GROUP BY run`,
  codes: "SELECT state, code, objects, bytes FROM codes WHERE run = ? AND objects > 0 ORDER BY objects DESC, code",
  addCode: `INSERT INTO codes (run, state, code, objects, bytes) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (run, state, code) DO UPDATE SET objects = objects + excluded.objects, bytes = bytes + excluded.bytes`,
  totals: 'SELECT name, value FROM totals WHERE run = ?',
  addTotal: 'INSERT INTO totals (run, name, value) VALUES (?, ?, ?) ON CONFLICT (run, name) DO UPDATE SET value = value + excluded.value',

  addUpload: 'INSERT INTO uploads (task, upload, run, key, size, part_size, algorithm, source_token) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
  uploads: 'SELECT * FROM uploads ORDER BY task, upload',
  uploadsOfTask: 'SELECT * FROM uploads WHERE task = ?',
  dropUpload: 'DELETE FROM uploads WHERE task = ? AND upload = ?',
  addPart: `INSERT INTO parts (task, upload, number, size, token, algorithm, hex) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (task, upload, number) DO UPDATE SET size = excluded.size, token = excluded.token, algorithm = excluded.algorithm, hex = excluded.hex`,
  parts: 'SELECT number, size, token, algorithm, hex FROM parts WHERE task = ? AND upload = ? ORDER BY number',
  dropParts: 'DELETE FROM parts WHERE task = ? AND upload = ?',

  lastTask: 'SELECT max(id) AS id FROM tasks',
  doubtTask: "UPDATE tasks SET in_doubt = 1 WHERE id = ? AND state <> 'done'",
  lastSegment: 'SELECT epoch, seq FROM journal_segments ORDER BY epoch DESC, seq DESC LIMIT 1',
  segment: 'SELECT first_task, tasks FROM journal_segments WHERE epoch = ? AND seq = ?',
  segmentOfTask: 'SELECT epoch, seq, first_task, tasks FROM journal_segments WHERE first_task <= ? AND first_task IS NOT NULL ORDER BY first_task DESC LIMIT 1',
  heldTasks: "SELECT id FROM tasks WHERE run = ? AND state = 'leased' AND holder = ? ORDER BY id",
  openTasks: "SELECT count(*) AS tasks FROM tasks INDEXED BY tasks_open WHERE run = ? AND state <> 'done'",
  setSegment: 'INSERT INTO journal_segments (epoch, seq, first_task, tasks) VALUES (?, ?, ?, ?) ON CONFLICT (epoch, seq) DO UPDATE SET first_task = excluded.first_task, tasks = excluded.tasks',
  unfinishedSegment: `SELECT epoch, seq FROM journal_segments
    WHERE first_task <= (SELECT min(id) FROM tasks WHERE state <> 'done' AND run IN (SELECT number FROM runs WHERE state <> 'abandoned')) AND first_task IS NOT NULL ORDER BY first_task DESC LIMIT 1`,
  reports: 'SELECT folded FROM journal_reports WHERE task = ? AND part = ?',
  setReports: 'INSERT INTO journal_reports (task, part, folded) VALUES (?, ?, ?) ON CONFLICT (task, part) DO UPDATE SET folded = excluded.folded',
  upload: 'SELECT 1 FROM uploads WHERE task = ? AND upload = ?',

  setVerify: 'INSERT INTO verify (run, summary) VALUES (?, ?) ON CONFLICT (run) DO UPDATE SET summary = excluded.summary',
  verify: 'SELECT summary FROM verify WHERE run = ?',
  clearFindings: 'DELETE FROM findings WHERE run = ?',
  addFinding: 'INSERT INTO findings (run, key, kind, message, source, destination) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET message = excluded.message, source = excluded.source, destination = excluded.destination',
  findings: 'SELECT key, kind, message, source, destination FROM findings WHERE run = ? ORDER BY key, kind LIMIT ?',

  tasksToPrune: 'SELECT id FROM tasks WHERE run = ? LIMIT 1000',
  dropTask: 'DELETE FROM tasks WHERE id = ?',
  dropReports: 'DELETE FROM journal_reports WHERE task = ?',
  forgetSegment: 'UPDATE journal_segments SET first_task = NULL, tasks = 0 WHERE first_task = ?',
  dropBlock: 'DELETE FROM blocks WHERE task = ?',
  dropProblems: 'DELETE FROM problems WHERE id NOT IN (SELECT problem FROM objects)',
  dropObjects: 'DELETE FROM objects WHERE run = ?',
} as const;

export type StatementName = keyof typeof SQL;
