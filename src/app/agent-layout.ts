/** Which layout an agent's folder has. */
import type { Layout } from '../agent/layout.ts';
import { memoryLayout } from '../agent/memory.ts';
import { openObjectsLayout } from '../agent/objects-layout/index.ts';

export const LAYOUTS = ['files', 'objects'] as const;
export type LayoutName = (typeof LAYOUTS)[number];

export interface LayoutPlace {
  readonly name: LayoutName;
  /** Real path of the folder that is served. */
  readonly root: string;
  /** Real path of the folder for what S3 knows and files do not; absent: the layout's own place in its root. */
  readonly state: string | undefined;
  readonly region: string;
  readonly readOnly: boolean;
  /** Hears of failures of work behind the scenes. */
  readonly failed: (error: unknown) => void;
}

/** @throws BrigadeError where the root or the state cannot be used */
export async function openLayout({ name, root, state, failed }: LayoutPlace): Promise<Layout> {
  if (name === 'objects') return openObjectsLayout({ root, failed, ...(state === undefined ? {} : { state }) });
  return memoryLayout();
}
