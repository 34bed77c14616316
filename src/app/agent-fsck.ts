/** Checks the folder and the state of an agent that does not run. */
import { fsckFiles } from '../agent/files-layout/fsck.ts';
import { isHarmless } from '../agent/fsck/report.ts';
import type { Finding, FsckReport } from '../agent/fsck/report.ts';
import { fsckObjects } from '../agent/objects-layout/fsck.ts';
import { folderToServe, stateFolder, type AgentOptions } from './agent.ts';

export interface AgentFsckOptions extends Pick<AgentOptions, 'root' | 'layout' | 'state' | 'states' | 'bucket'> {
  /** Also read every byte and compare it with what was stored. */
  readonly deep: boolean;
  /** Remove what is harmless, and bodies that no object refers to. */
  readonly repair: boolean;
  readonly found: (finding: Finding, harmless: boolean) => void;
}

export type { FsckReport };

/** @throws BrigadeError E_STATE_LOCKED while an agent runs, E_ROOT_NOT_OURS, E_STATE_OF_ANOTHER_ROOT, E_STATE_UNUSABLE */
export function agentFsck(options: AgentFsckOptions): Promise<FsckReport> {
  const root = folderToServe(options.root);
  const state = stateFolder(options, root);
  const how = { deep: options.deep, repair: options.repair, found: (finding: Finding) => options.found(finding, isHarmless(finding)) };
  if (options.layout === 'objects') return fsckObjects({ root, ...(state === undefined ? {} : { state }) }, how);
  if (state === undefined) throw new Error('layout files has no place for its state in the folder that it serves');
  return fsckFiles({ root, state, ...(options.bucket === undefined ? {} : { bucket: options.bucket }) }, how);
}
