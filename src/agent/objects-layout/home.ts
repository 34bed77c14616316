/** The root of the layout `objects` is ours alone: a file in it says so, and names the state that belongs to it. */
import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, readdir, realpath, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { BrigadeError } from '../../core/errors.ts';
import { fsError } from '../../stores/filesystem/failures.ts';

const NAME = 'brigade-objects.json';

interface Label {
  readonly layout: 'objects';
  readonly version: number;
  readonly id: string;
}

const refuse = (code: string, message: string, location: string, hint: string): BrigadeError =>
  new BrigadeError({ code, kind: 'usage', message, op: 'open', location, hint });

async function readLabel(root: string): Promise<Label | undefined> {
  const path = join(root, NAME);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fsError(error, 'open', path);
  }
  try {
    const label = JSON.parse(text) as Label;
    if (label.layout === 'objects' && typeof label.id === 'string' && label.version === 1) return label;
  } catch {
    // Not JSON is refused like any other content, below.
  }
  throw refuse('E_ROOT_NOT_OURS', `${NAME} is not of a layout that this version knows`, path, 'use the version that made it, or another --root');
}

/** Written aside and renamed: a crash leaves no half of it. */
async function writeLabel(root: string, label: Label): Promise<void> {
  const file = await open(join(root, `${NAME}.new`), 'w');
  try {
    await file.writeFile(`${JSON.stringify(label)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(join(root, `${NAME}.new`), join(root, NAME));
  const folder = await open(root);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** The root's real path and its id. `make`: an empty or missing directory becomes ours.
 * @throws BrigadeError E_ROOT_NOT_OURS where it is not and cannot become ours */
export async function openHome(given: string, make: boolean): Promise<{ readonly root: string; readonly id: string }> {
  try {
    if (make) await mkdir(given, { recursive: true });
    const root = await realpath(given);
    const known = await readLabel(root);
    if (known !== undefined) return { root, id: known.id };
    if (!make) throw refuse('E_ROOT_NOT_OURS', 'the directory is not of layout objects', root, 'name the directory that an agent served with --layout objects');
    const strangers = (await readdir(root)).filter((name) => name !== `${NAME}.new`);
    if (strangers.length > 0) {
      throw refuse('E_ROOT_NOT_OURS', `the directory is not empty and not of layout objects (it holds ${JSON.stringify(strangers[0])})`, root, 'give an empty directory, or serve the files as they are with --layout files');
    }
    const label: Label = { layout: 'objects', version: 1, id: randomUUID() };
    await writeLabel(root, label);
    return { root, id: label.id };
  } catch (error) {
    throw error instanceof BrigadeError ? error : fsError(error, 'open', given);
  }
}
