import { failed, ground } from '../disk.test-kit.ts';
import { layoutConformance } from '../layout.test-kit.ts';
import { openObjectsLayout } from './index.ts';

layoutConformance('objects', (t) => openObjectsLayout({ root: ground(t).root, failed }), { versions: true, anyKey: true, lasting: true });
