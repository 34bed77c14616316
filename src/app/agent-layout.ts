/** Which layout an agent's folder has. */
import type { Layout } from '../agent/layout.ts';
import { memoryLayout } from '../agent/memory.ts';

export const LAYOUTS = ['files', 'objects'] as const;
export type LayoutName = (typeof LAYOUTS)[number];

export interface LayoutPlace {
  readonly name: LayoutName;
  /** Real path of the folder that is served. */
  readonly root: string;
  /** Real path of the folder for what S3 knows and files do not. */
  readonly state: string;
  readonly region: string;
  readonly readOnly: boolean;
}

export interface OpenLayout {
  readonly storage: Layout;
  close(): Promise<void>;
}

export function openLayout(_place: LayoutPlace): Promise<OpenLayout> {
  return Promise.resolve({ storage: memoryLayout(), close: () => Promise.resolve() });
}
