/** The access key of each endpoint: made once, known to its file alone. The form is the JSON document that `credentials: file:PATH` reads. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { usageError } from '../../core/errors.ts';
import { type EndName, type LabFolder } from './folder.ts';
import { writeWhole } from '../whole-file.ts';

export interface LabKey {
  readonly access_key_id: string;
  readonly secret_access_key: string;
}

export function makeKey(lab: LabFolder, name: EndName): void {
  if (existsSync(lab.key(name))) return;
  const key: LabKey = { access_key_id: `LAB${randomBytes(8).toString('hex').toUpperCase()}`, secret_access_key: randomBytes(24).toString('base64url') };
  writeWhole(lab.key(name), key, 0o600);
}

/** @throws usage error E_LAB where the file is gone or is no longer a key */
export function readKey(lab: LabFolder, name: EndName): LabKey {
  try {
    const key = JSON.parse(readFileSync(lab.key(name), 'utf8')) as Partial<LabKey>;
    if (typeof key.access_key_id === 'string' && typeof key.secret_access_key === 'string') return key as LabKey;
  } catch {
    // Whatever is wrong with the file, the parser's message could quote the secret in it.
  }
  throw usageError('E_LAB', 'this file is no longer the access key of the lab', 'start over: brigade lab reset, then brigade lab up', lab.key(name));
}
