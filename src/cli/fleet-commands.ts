/** The two roles of a fleet, and the options that make a run one of a fleet, for the catalogue. */
import type { ExitCode } from '../core/exit-code.ts';
import type { CommandSpec, OptionSpec } from './catalogue.ts';

export const FLEET_OPTIONS: readonly OptionSpec[] = [
  { flags: '--queue <where>', description: 'the engine that carries the tasks: sqs:NAME, sqs:https://…, or nats:NAME@nats://host:4222; see docs/fleet.md' },
  { flags: '--journal <where>', description: 'where the fleet keeps what it must not lose: s3://bucket/prefix/ or a shared directory' },
  { flags: '--message-key <reference>', description: 'the key that messages are sealed with, env:NAME, file:PATH, aws-sm:NAME …; a second one, during a rotation, also opens', value: 'texts', standard: 'env:BRIGADE_MESSAGE_KEY' },
];

const FEEDING: readonly OptionSpec[] = [
  { flags: '--window <tasks>', description: 'tasks in the queue at most: a number, all, or auto (what the fleet does in 30 minutes, at most 100,000)', standard: 'auto' },
  { flags: '--standby', description: 'while another coordinator is at work on this journal, wait and take over when it is gone' },
];

/** `shared`: options that many commands have. */
export function fleetCommands(shared: { readonly running: readonly OptionSpec[]; readonly beginning: readonly OptionSpec[]; readonly moving: readonly ExitCode[] }): CommandSpec[] {
  return [
    {
      name: 'coordinator', summary: 'run migrations over a fleet of workers: list, plan, feed, keep the account',
      about: 'The same files as brigade run. Copies nothing itself: workers do, wherever they are, told by the queue. Dies it, the workers go on, and the next one on the same journal takes over where it was.',
      args: [{ name: 'FILE|DIR', description: 'migration files, or folders of them', required: true, variadic: true }],
      options: [...FLEET_OPTIONS, ...FEEDING, ...shared.beginning, ...shared.running],
      examples: ['brigade coordinator media.yml --queue sqs:brigade --journal s3://fleet-journal/', 'brigade coordinator pairs/ --queue nats:brigade@nats://queue:4222 --journal s3://fleet-journal/ --standby'],
      exits: shared.moving, load: () => import('./commands/coordinator.ts'),
    },
  ];
}
