/** The state folder: one ledger per migration, and what `doctor` remembers. */
import { join } from 'node:path';

export const DEFAULT_STATE = '.brigade';

/** `<state>/<migration>/ledger.db`; the name was checked to be a safe folder name. */
export function ledgerPath(stateDir: string, migration: string): string {
  return join(stateDir, migration, 'ledger.db');
}
