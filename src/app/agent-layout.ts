/** Which layout an agent's folder has. */
import { openFilesLayout } from '../agent/files-layout/index.ts';
import type { Layout } from '../agent/layout.ts';
import { openObjectsLayout } from '../agent/objects-layout/index.ts';

export const LAYOUTS = ['files', 'objects'] as const;
export type LayoutName = (typeof LAYOUTS)[number];

export interface LayoutPlace {
  readonly name: LayoutName;
  /** Real path of the folder that is served. */
  readonly root: string;
  /** Real path of the folder for what S3 knows and files do not; layout objects has a place of its own for it in its root. */
  readonly state: string | undefined;
  /** Layout files: the folder itself is this one bucket; absent: the folders in it are the buckets. */
  readonly bucket: string | undefined;
  readonly region: string;
  /** Hears of failures of work behind the scenes. */
  readonly failed: (error: unknown) => void;
}

/** @throws BrigadeError where the root or the state cannot be used */
export function openLayout({ name, root, state, bucket, region, failed }: LayoutPlace): Promise<Layout> {
  if (name === 'objects') return openObjectsLayout({ root, failed, ...(state === undefined ? {} : { state }) });
  if (state === undefined) throw new Error('layout files has no place for its state in the folder that it serves');
  return openFilesLayout({ root, state, region, failed, ...(bucket === undefined ? {} : { bucket }) });
}
