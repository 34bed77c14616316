/**
 * What is measured, each thing once: name, kind and meaning. Names as Prometheus wants them: a unit at the end, `_total` for what only grows.
 * https://prometheus.io/docs/practices/naming/
 */

interface Family {
  readonly type: 'counter' | 'gauge';
  readonly help: string;
}

const counter = (help: string): Family => ({ type: 'counter', help });
const gauge = (help: string): Family => ({ type: 'gauge', help });

export const FAMILIES = {
  brigade_objects: gauge('Objects of the run, by state.'),
  brigade_object_bytes: gauge('Bytes of the objects of the run, by state.'),
  brigade_listing_complete: gauge('1 when both sides are listed to their end: until then backlog and drain time are lower bounds.'),
  brigade_backlog_tasks: gauge('Tasks of the run that are not done, from the ledger.'),
  brigade_outstanding_tasks: gauge('Tasks that were sent to the queue and not reported yet.'),
  brigade_busy_tasks: gauge('Tasks in the hands of workers, as they said last.'),
  brigade_workers_alive: gauge('Worker processes that beat.'),
  brigade_backlog_per_worker: gauge('Tasks that are not done, for each living worker process; without any, all of them.'),
  brigade_predicted_drain_seconds: gauge('Time until nothing is left, at the pace of the last ten minutes; absent while nothing can be said.'),
  brigade_drain_target_seconds: gauge('The time that --drain-target wants.'),
  brigade_workers_wanted: gauge('Worker processes that would end the run in the wanted time; without one, a process for 100 tasks.'),
  brigade_paused: gauge('1 while nobody is to work: brigade pause, brigade limits, a timetable, or a premise that fails.'),
  brigade_trouble: gauge('1 while nothing goes on, with the code of what hinders it.'),
  brigade_epoch: gauge('The epoch of the coordinator.'),
  brigade_messages_sent_total: counter('Messages that the coordinator sent.'),
  brigade_messages_resent_total: counter('Of these: of tasks that had been sent before.'),
  brigade_messages_needless_total: counter('Of these: not needed, because an earlier message ended the task.'),
  brigade_needless_ratio: gauge('Needless messages of all that were sent.'),
  brigade_journal_writes_total: counter('Segments, reports, documents and beats that were written to the journal.'),
  brigade_requests_total: counter('Requests to source, destination and journal, each try counted.'),
  brigade_request_errors_total: counter('Requests that failed, by the code of their error.'),
  brigade_retries_total: counter('Requests that were tried again.'),
  brigade_throttles_total: counter('Answers that asked for patience.'),
  brigade_stalls_total: counter('Bodies that stopped flowing.'),
  brigade_bytes_sent_total: counter('Bytes that went to the destination.'),
  brigade_objects_ended_total: counter('Objects that ended, by state: as reported to a coordinator, as done by a worker.'),
  brigade_tasks_total: counter('Tasks in the hands of this worker, by what became of them.'),
  brigade_task_seconds_total: counter('Time from taking tasks to their report, for those that were done.'),
  brigade_lease_extensions_total: counter('Heartbeats by which leases were prolonged.'),
  brigade_leases_lost_total: counter('Leases that ended while somebody worked under them.'),
  brigade_worker_processes: gauge('Copying processes of this worker.'),
} as const satisfies Readonly<Record<string, Family>>;

export type FamilyName = keyof typeof FAMILIES;
