/** Colours, where somebody sees them: NO_COLOR (no-color.org), FORCE_COLOR, --no-color. */
import type { Environment } from '../config/index.ts';

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
export type Colour = keyof typeof CODES;
export type Paint = (colour: Colour, text: string) => string;

export const plainText: Paint = (_, text) => text;

const painted: Paint = (colour, text) => `\u001b[${CODES[colour]}m${text}\u001b[0m`;

export function painter(output: { readonly isTTY: boolean }, env: Environment, wanted: boolean): Paint {
  if (!wanted || isSet(env['NO_COLOR'])) return plainText;
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined) return forced === '0' || forced === 'false' ? plainText : painted;
  return output.isTTY && env['TERM'] !== 'dumb' ? painted : plainText;
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '';
}
