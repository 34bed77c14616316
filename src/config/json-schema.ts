/** The schema as JSON Schema: for editors, and for the documentation. */
import * as z from 'zod';
import { RESERVED } from './hints.ts';
import { migration } from './schema/migration.ts';

export interface JsonSchema {
  readonly type?: string;
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly anyOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly $ref?: string;
  readonly definitions?: Readonly<Record<string, JsonSchema>>;
  /** Ours, not published: how the type and the default read in the documentation. */
  readonly 'x-type'?: string;
  readonly 'x-default'?: string;
}

/** With the `x-` keywords that the documentation needs. */
export function describedSchema(): JsonSchema {
  return z.toJSONSchema(migration, {
    io: 'input',
    // Draft 7 is what editors understand best.
    target: 'draft-7',
    override: ({ zodSchema, jsonSchema }) => {
      // zod leaves both out where a transform follows, as if they were of the output; ours are what an operator writes.
      const meta = z.globalRegistry.get(zodSchema);
      if (meta?.examples !== undefined) jsonSchema.examples = meta.examples as never;
      if (meta?.['default'] !== undefined) jsonSchema.default = meta['default'] as never;
    },
  }) as JsonSchema;
}

/** docs/migration.schema.json. */
export function publishedSchema(): object {
  const plain = strip(describedSchema()) as Record<string, unknown>;
  return { ...plain, $comment: `Reserved, refused until supported: ${RESERVED.join(', ')}.` };
}

function strip(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(strip);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).filter(([key]) => !key.startsWith('x-')).map(([key, inner]) => [key, strip(inner)]));
}
