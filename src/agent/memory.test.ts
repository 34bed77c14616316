import { layoutConformance } from './layout.test-kit.ts';
import { memoryLayout } from './memory.ts';

layoutConformance('memory', async () => memoryLayout(), { versions: true, anyKey: true, lasting: false });
