/** The tasks that a packer makes, for tests. */
import type { Item } from './item.ts';
import type { Packer } from './pack.ts';

export function tasksOf(packer: Packer, items: readonly Item[]): Item[][] {
  const tasks: Item[][] = [[]];
  for (const one of items) {
    const end = packer.add(one);
    if (end === 'before') tasks.push([]);
    tasks.at(-1)?.push(one);
    if (end === 'with') tasks.push([]);
  }
  return tasks.filter(({ length }) => length > 0);
}
